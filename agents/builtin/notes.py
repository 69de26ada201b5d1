"""Writes notes into one folder for the decoder: text files that it names and nobody else's. Nothing is overwritten.

The name of a file is made here of the note's title, so no path, link or hidden name can be asked for.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from agents.errors import ToolError
from agents.tool import Tool

MOST_NOTES = 1_000
LONGEST_NOTE = 50_000
LONGEST_NAME = 60


def write_note(root: str | os.PathLike[str], **options: Any) -> Tool:
    """The tool `write_note`: a new note, as a Markdown file under `root`. Its effect is "write".

    Args:
        root: the folder; it is made, readable by its owner alone, with the first note.
        options: fields of `Tool`.

    Raises ToolError when `root` is something other than a folder.
    """
    from pydantic import Field

    from agents.signature import read_signature

    folder = Path(root)
    if folder.exists() and not folder.is_dir():
        raise ToolError("making a tool", f"{root} is no folder", "Give a folder, or a name that is free")

    def write_note(
        title: Annotated[str, Field(min_length=1, max_length=200)],
        text: Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE)],
    ) -> str:
        """Write a note for the user, to be kept. A note that is there already is not changed.

        Args:
            title: what it is about, in a few words.
            text: the whole note.
        """
        return f"Saved as {keep_note(folder, title, text)}"

    return read_signature(write_note, **{"effect": "write", "trusted": True, "timeout": 10.0, **options})


def keep_note(folder: Path, title: str, text: str) -> str:
    """Write a note and give its file's name. Raises ValueError when it cannot be kept, with the reason."""
    name = note_name(title)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if sum(1 for _ in folder.iterdir()) >= MOST_NOTES:
            raise ValueError(f"there are {MOST_NOTES:,} notes already, which is the most")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            raise ValueError(f"there is a note called {name} already; give another title") from None
        with os.fdopen(file, "w", encoding="utf-8", errors="replace") as out:
            out.write(text)
    finally:
        os.close(parent)
    return name


def note_name(title: str) -> str:
    """The file's name for a title: letters, digits and hyphens. Raises ValueError for a title without any."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", title).lower())
    stem = "-".join(words).replace("_", "-").encode()[:LONGEST_NAME].decode("utf-8", "ignore").strip("-")
    if not stem:
        raise ValueError("the title has no letters or digits")
    return f"{stem}.md"
