"""Writes docs/cli.md from the commands themselves: `python -m ui.cli.reference`; `--check` only compares.

Help texts are printed as `hearth … --help` prints them, 100 columns wide.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ui.cli.chat_commands import COMMANDS as CHAT_COMMANDS
from ui.cli.chat_commands import summary
from ui.cli.errors import EXIT_CODES
from ui.cli.main import COMMANDS, app, load

TARGET = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
WIDTH = 100
HEAD = """# The `hearth` command

<!-- Written by `python -m ui.cli.reference`; change the code, not this file. -->

Results go to standard output; progress and messages go to standard error. With `--json` standard output holds JSON
and nothing else, errors included (`{"error": {"type", "message", "exit_code", …}}`). Errors are one line with the
remedy; `--debug` adds the traceback. `hearth --install-completion` teaches your shell the commands and options.
"""


def render() -> str:
    """The whole page."""
    blocks = [HEAD, *_exit_codes(), *_chat_commands(), "## Commands\n", *_commands()]
    return "\n".join(blocks)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | meaning |\n|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    yield ""


def _chat_commands() -> Iterator[str]:
    yield "## In the chat\n"
    yield "Everything that does not begin with a slash is a question. Ctrl-C stops an answer, Ctrl-D leaves.\n"
    yield "| command | what it does |\n|---|---|"
    yield from (
        f"| `/{name}{f' {hint}' if hint else ''}` | {summary(name)} |" for name, (hint, _) in CHAT_COMMANDS.items()
    )
    yield ""


def _commands() -> Iterator[str]:
    context = typer.main.get_command(app).make_context(
        "hearth", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield _help(context)
    for name in COMMANDS:
        yield from _with_children(load(name), name, context)


def _with_children(command: Any, name: str, parent: Any) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield _help(context)
    for word, child in getattr(command, "commands", {}).items():
        yield from _with_children(child, word, context)


def _help(context: Any) -> str:
    """The section of one command."""
    return f"### {context.command_path}\n\n```text\n{context.get_help().strip()}\n```\n"


def main() -> int:
    """Write the page, or with `--check` say whether it is up to date. Returns the exit code."""
    # Neither the terminal's width nor the user's shell may show in the page.
    os.environ.pop("COLUMNS", None)
    text = render()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != text:
            print(f"{TARGET} is out of date. Run: python -m ui.cli.reference", file=sys.stderr)
        return int(current != text)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
