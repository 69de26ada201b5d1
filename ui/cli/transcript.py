"""A chat as a file: Markdown to read, JSON to work with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from decoder.errors import UsageError
from ui.cli.output import as_data
from ui.cli.session import Turn
from ui.text_cleaning import clean, clean_line

STEP = "saving the chat"
_MARKUP = re.compile(r"([\\`*_\[\]<>#|])")


def save(turns: Sequence[Turn], path: Path, overwrite: bool = False) -> None:
    """Write the turns to `path`, as Markdown (.md) or JSON (.json).

    Raises:
        UsageError: another suffix, a file that exists already (unless `overwrite`), or one that cannot be written.
    """
    writers = {".md": as_markdown, ".markdown": as_markdown, ".json": as_json}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UsageError(STEP, f"{path.name} ends neither in .md nor in .json", "Choose one of the two")
    try:
        # A lone surrogate, as some parsers leave them, becomes \\udc80: in JSON that is just its escape.
        with path.open("w" if overwrite else "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(writer(turns))
    except FileExistsError as error:
        raise UsageError(STEP, f"{path} exists already", "Choose another name") from error
    except OSError as error:
        raise UsageError(STEP, f"{path} cannot be written: {error.strerror}", "Choose another place") from error


def as_markdown(turns: Sequence[Turn], title: str = "A chat with Hearth") -> str:
    """Question, answer and sources of each turn. Text from documents is quoted, so that it stays text."""
    lines = [f"# {_escape(title)}", "", *(line for turn in turns for line in _turn(turn))]
    return "\n".join(lines).rstrip() + "\n"


def as_json(turns: Sequence[Turn]) -> str:
    """A list of turns, each with the whole answer object."""
    return json.dumps(as_data(turns), ensure_ascii=False, indent=2) + "\n"


def _turn(turn: Turn) -> list[str]:
    lines = [f"## {_escape(turn.question)}", "", clean(turn.answer.text).strip(), ""]
    if turn.answer.citations:
        lines += ["Sources:", ""]
    for citation in turn.answer.citations:
        lines += [f"- \\[{citation.marker}\\] {_escape(citation.location)}", f"  > {_escape(citation.quote)}"]
    return [*lines, ""] if turn.answer.citations else lines


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", clean_line(text))
