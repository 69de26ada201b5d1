"""The scratch folder seen from outside, through a descriptor of it alone: put files in, take files out, count them.

What lies in it was made by code that nobody trusts: a link is never followed, no path is walked in one step, nothing
but regular files is opened, and every number is bounded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from agents.sandbox_errors import SandboxRefused
from agents.sandbox_view import NULL

DEPTH = 16
STEP = "putting files into the sandbox"


def check_names(files: Mapping[str, bytes]) -> None:
    """Raise SandboxRefused unless every name is a plain relative path."""
    for name in files:
        parts = PurePosixPath(name).parts
        plain = "/".join(parts) == name and name.isprintable() and ".." not in parts and not name.startswith("/")
        if not parts or not plain or len(parts) > DEPTH or any(len(part.encode()) > 255 for part in parts):
            raise SandboxRefused(STEP, f"{name!r} is not a plain relative path", "Name files like data/points.csv.")


def put_files(folder: int, files: Mapping[str, bytes]) -> None:
    """Write files beneath the folder, which nobody else writes to yet. Raises SandboxRefused when they do not fit."""
    try:
        for name, data in files.items():
            for parent in reversed(PurePosixPath(name).parents[:-1]):
                if not _exists(folder, str(parent)):
                    os.mkdir(parent, 0o755, dir_fd=folder)
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
    except OSError as error:
        raise SandboxRefused(
            STEP, f"{name!r} could not be written ({error.strerror})", "Raise Limits.scratch."
        ) from error


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def count_files(folder: int) -> int:
    """How many files and folders the file system of the folder holds."""
    space = os.fstatvfs(folder)
    return space.f_files - space.f_ffree


def take_files(
    folder: int, *, fetch: int, files: int, known: Mapping[str, bytes]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The regular files beneath the folder, by path, after all that wrote to it has ended.

    Args:
        folder: descriptor of the folder.
        fetch: bytes that may come back in all; a file that would not fit is left.
        files: entries that are looked at.
        known: files that were put in; those that did not change are not returned.

    Returns the files, and a notice for what was left behind.
    """
    taken: dict[str, bytes] = {}
    left, seen = 0, 0
    for path, data in _walk(folder, "", fetch, 0):
        if path == NULL:
            continue
        seen += 1
        if seen > files:
            left += 1
            break
        if data is None or len(data) > fetch:
            left += 1
        elif known.get(path) != data:
            taken[path] = data
            fetch -= len(data)
    notice = f"{'more than ' if seen > files else ''}{left} of the files written did not come back"
    return taken, (notice,) if left else ()


def _walk(folder: int, prefix: str, fetch: int, depth: int) -> Iterator[tuple[str, bytes | None]]:
    """Path and content of each file; None for what is no file that can be fetched."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        yield prefix, None
        return
    for name in names:
        path = prefix + name
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if not name.isprintable() or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or depth > DEPTH:
                yield path, None
                continue
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            yield path, None
            continue
        try:
            if stat.S_ISDIR(mode):
                yield from _walk(opened, f"{path}/", fetch, depth + 1)
            else:
                yield path, _read(opened, fetch)
        finally:
            os.close(opened)


def _read(file: int, most: int) -> bytes | None:
    if os.fstat(file).st_size > most:
        return None
    with os.fdopen(file, "rb", closefd=False) as stream:
        return stream.read(most + 1)
