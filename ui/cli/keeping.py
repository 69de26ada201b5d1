"""`--out FILE`: what a command measured, kept as JSON beside what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from decoder.errors import UsageError

Keep = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write what came of it here too, as JSON.")]


def check_keep(path: Path | None) -> None:
    """Before anything is measured: there must be a folder to write to. Raises UsageError."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError("reading the command line", f"{path.parent} is no folder", "Make it first")


def keep(path: Path | None, known: Any) -> None:
    """Write it, where a file was named. Raises UsageError."""
    import json

    if path is None:
        return
    try:
        path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError("keeping what was measured", f"{path}: {error.strerror or error}", "Give a file") from error
