"""Which process writes an answer: a file that it holds locked for as long as it lives.

A turn that is "running" under an owner who is gone was interrupted, whatever ended that process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import threading
from pathlib import Path

from decoder.errors import ServiceError

_NAME = re.compile(r"[0-9a-f]{16}")
_lock = threading.Lock()
_held: dict[tuple[int, str], str] = {}  # by process and folder; a forked child is somebody else


def own_name(folder: Path) -> str:
    """The name under which this process is known in `folder`; taken on first use, let go when the process ends.

    Raises ServiceError when the folder cannot be written.
    """
    key = (os.getpid(), str(folder))
    with _lock:
        if key not in _held:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _sweep(folder)
                _held[key] = _take(folder)
            except OSError as error:
                remedy = "Free some space, or mend HEARTH_HOME"
                raise ServiceError("keeping a conversation", str(error), remedy) from error
        return _held[key]


def lives(folder: Path, name: str) -> bool:
    """Whether the process of that name is alive."""
    if not _NAME.fullmatch(name):
        return False
    try:
        with (folder / name).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _take(folder: Path) -> str:
    """Lock a new file under another name first, so that nobody sees it unlocked."""
    name = secrets.token_hex(8)
    aside = folder / f".{name}"
    held = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    aside.rename(folder / name)
    return name


def _sweep(folder: Path) -> None:
    """Remove what processes that are gone left."""
    for file in folder.iterdir():
        if _NAME.fullmatch(file.name) and not lives(folder, file.name):
            with contextlib.suppress(OSError):
                file.unlink()
