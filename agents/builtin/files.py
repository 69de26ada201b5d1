"""Reads text files under one folder for the decoder: list, read, search. Nothing outside of it can be reached.

`folder.py` opens files so that no link, no `..` and no device leads out; this is the tool around it.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from agents.builtin.folder import Folder, FolderLimits
from agents.tool import Tool


def read_files(
    root: str | os.PathLike[str], limits: FolderLimits | None = None, documents: bool = False, **options: Any
) -> Tool:
    """The tool `read_files`: lists, reads and searches text files under `root`. What they say is untrusted.

    Links are not followed, wherever they lead; hidden files and folders (.git, .env) do not exist for it.

    Args:
        limits: sizes and counts.
        documents: PDF, DOCX and the other formats of `rag` may be read as text too.
        options: fields of `Tool`.

    Raises ToolError when `root` is no folder.
    """
    from pydantic import Field

    from agents.signature import read_signature

    folder = Folder(root, limits or FolderLimits(), documents)

    def read_files(
        action: Literal["list", "read", "search"],
        path: str = ".",
        text: str = "",
        start: Annotated[int, Field(ge=1)] = 1,
    ) -> str:
        """Look at the files of a folder: list them, read one, or search in all of them for a text.

        Args:
            action: list a folder, read a file, or search for `text`.
            path: relative to the folder; of the file to read, or the folder to list or to search.
            text: what to search for, letter by letter, in any case.
            start: the line to begin reading at.
        """
        if action == "list":
            return folder.listing(path)
        return folder.read(path, start) if action == "read" else folder.search(path, text)

    return read_signature(read_files, **{"effect": "read", "idempotent": True, "timeout": 60.0, **options})
