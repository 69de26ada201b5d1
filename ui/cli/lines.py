"""Where the chat's lines come from: a terminal with history and editing keys, or a pipe with a question a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from decoder.settings import home

PROMPT = "> "
HISTORY_LENGTH = 1000


def at_a_terminal() -> bool:
    """Whether a person types the lines and sees the answers."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def read_line() -> str | None:
    """The next line without its line feed; None at the end of input. A pipe's bytes that are no text are replaced."""
    if at_a_terminal():
        try:
            return input(PROMPT)
        except EOFError:
            print()
            return None
    line = sys.stdin.buffer.readline()
    return line.decode(errors="replace").rstrip("\r\n") if line else None


def history_file() -> Path:
    """Where the questions typed at a terminal are kept, readable by their owner alone."""
    return home() / "chat_history"


@contextmanager
def line_editing(words: Sequence[str]) -> Iterator[None]:
    """Arrow keys, the history of earlier chats, and completion of `words`; nothing where there is no terminal.

    A history that cannot be read or written costs a remark, never the chat.
    """
    readline = _readline() if at_a_terminal() else None
    if readline is None:
        yield
        return
    _complete(readline, words)
    _load_history(readline)
    try:
        yield
    finally:
        _save_history(readline)


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:  # Python builds without it, as on Windows: lines are read all the same
        return None
    return readline


def _complete(readline: ModuleType, words: Sequence[str]) -> None:
    def complete(text: str, state: int) -> str | None:
        return next(iter([word for word in words if text.startswith("/") and word.startswith(text)][state:]), None)

    readline.set_completer_delims(" ")
    readline.set_completer(complete)
    edits_with_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if edits_with_libedit else "tab: complete")


def _load_history(readline: ModuleType) -> None:
    readline.clear_history()
    readline.set_history_length(HISTORY_LENGTH)
    try:
        if history_file().exists():
            readline.read_history_file(str(history_file()))
    except OSError as error:
        print(f"The history of earlier chats cannot be read: {error}", file=sys.stderr)


def _save_history(readline: ModuleType) -> None:
    path = history_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        readline.write_history_file(str(path))
    except OSError as error:
        print(f"The history of this chat cannot be written: {error}", file=sys.stderr)
