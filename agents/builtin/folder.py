"""A folder that can be read and not left.

Every step of a path is opened relative to the one before it and without following links (`openat`, O_NOFOLLOW), so a
link that appears between a check and an opening leads nowhere. Hard links to files outside cannot be told from files.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agents.errors import ToolError

LOOK = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
FOLDER = LOOK | getattr(os, "O_DIRECTORY", 0)
FILE = LOOK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # a pipe must not hold up the opening


class FileError(ValueError):
    """What cannot be read, and why; the message names the path as it was asked for."""


@dataclass(frozen=True, slots=True)
class FolderLimits:
    """What one call may cost.

    Attributes:
        file_size: bytes of a file that is read or searched.
        lines: of one reading.
        entries: of a listing.
        matches: of a search; files, total_size, seconds: what it looks at.
    """

    file_size: int = 4 << 20
    lines: int = 200
    entries: int = 300
    matches: int = 50
    files: int = 5_000
    total_size: int = 256 << 20
    seconds: float = 20.0


class Folder:
    """Text files under `root`. Raises ToolError when that is no folder."""

    def __init__(self, root: str | os.PathLike[str], limits: FolderLimits, documents: bool = False) -> None:
        self._root, self._limits, self._documents = Path(root).resolve(), limits, documents
        if not self._root.is_dir():
            raise ToolError("making a tool", f"{root} is no folder", "Give a folder that exists")

    def listing(self, path: str) -> str:
        """All files below a folder with their sizes, a line each."""
        lines: list[str] = []
        for name, size, _ in self._files(path):
            if len(lines) >= self._limits.entries:
                lines.append(f"[More than {self._limits.entries} files: list a folder of them]")
                break
            lines.append(f"{_shown(name)} ({size:,} bytes)")
        return "\n".join(lines) or "There are no files."

    def read(self, path: str, start: int = 1) -> str:
        """Numbered lines of a file from `start` on. Raises FileError."""
        with self._opened(path) as (parent, name):
            text = self._text(parent, name, path)
        lines = text.splitlines()
        part = lines[start - 1 : start - 1 + self._limits.lines]
        if not part:
            return f"{path} has {len(lines)} lines."
        last = start + len(part) - 1
        more = f"\n[{len(lines) - last} more lines: go on with start={last + 1}]" if last < len(lines) else ""
        return f"{path}, lines {start} to {last} of {len(lines)}\n" + "\n".join(part) + more

    def search(self, path: str, text: str) -> str:
        """Lines that hold a text, with file and line. Files that are no text are passed over."""
        if not text.strip():
            raise FileError("give the text to search for")
        found: list[str] = []
        deadline, size_left, wanted = time.monotonic() + self._limits.seconds, self._limits.total_size, text.lower()
        for number, (name, size, parent) in enumerate(self._files(path)):
            size_left -= size
            if number >= self._limits.files or size_left < 0 or time.monotonic() > deadline:
                found.append("[The search stopped here: search in a folder of it]")
                break
            with suppress(FileError, OSError):
                found += _matches(self._plain_text(parent, PurePosixPath(name).name, name), name, wanted)
            if len(found) > self._limits.matches:
                found = [*found[: self._limits.matches], f"[More than {self._limits.matches}: search for more words]"]
                break
        return "\n".join(found) or "Nothing was found."

    def _files(self, path: str) -> Iterator[tuple[str, int, int]]:
        """The regular files below a folder: path from the root, size, and the open folder that it is in."""
        with self._opened(path, folder=True) as (descriptor, _):
            start = "/".join(_steps(path))
            for place, folders, files, inside in os.fwalk(".", dir_fd=descriptor, follow_symlinks=False):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(files):
                    with suppress(OSError):
                        about = os.stat(name, dir_fd=inside, follow_symlinks=False)
                        if stat.S_ISREG(about.st_mode) and not name.startswith("."):
                            yield str(PurePosixPath(start, place, name)), about.st_size, inside

    @contextmanager
    def _opened(self, path: str, folder: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that a path is in and the name there; with `folder`, the path's own folder and "."."""
        steps = _steps(path)
        if not steps and not folder:
            raise FileError(f"{path!r} is a folder")
        descriptor = os.open(self._root, FOLDER)
        try:
            for step in steps if folder else steps[:-1]:
                inner = _open(step, FOLDER, descriptor, path)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, "." if folder else steps[-1]
        finally:
            os.close(descriptor)

    def _text(self, parent: int, name: str, path: str) -> str:
        if not self._documents:
            return self._plain_text(parent, name, path)
        from rag.errors import DocumentError
        from rag.load import load_bytes

        data = self._bytes(parent, name, path)
        try:
            return _decoded(data, path)
        except FileError:
            try:
                return load_bytes(data, name).text
            except DocumentError as error:
                raise FileError(f"{path}: {error.cause}") from error

    def _plain_text(self, parent: int, name: str, path: str) -> str:
        return _decoded(self._bytes(parent, name, path), path)

    def _bytes(self, parent: int, name: str, path: str) -> bytes:
        descriptor = _open(name, FILE, parent, path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileError(f"{path} is no file")
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(self._limits.file_size + 1)
        if len(data) > self._limits.file_size:
            raise FileError(f"{path} has more than {self._limits.file_size:,} bytes")
        return data


def _steps(path: str) -> list[str]:
    """The names of a relative path. Raises FileError for one that leads out, or is hidden."""
    steps = [step for step in path.split("/") if step not in ("", ".")]
    if path.startswith(("/", "~")) or ".." in steps or "\0" in path or "\\" in path:
        raise FileError(f"{path[:100]!r} is no path below the folder; give a relative one, with / and without ..")
    if any(step.startswith(".") for step in steps):
        raise FileError(f"{path[:100]!r} is hidden")
    return steps


def _open(name: str, flags: int, parent: int, path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        raise FileError(f"there is no {path[:200]}; list the files to see what there is") from None
    except NotADirectoryError:
        raise FileError(f"{path[:200]} is a file or a link where a folder should be") from None
    except (OSError, ValueError) as error:
        reason = "is a link, and links are not followed" if _is_link(name, parent) else "cannot be opened"
        raise FileError(f"{path[:200]} {reason}") from error


def _is_link(name: str, parent: int) -> bool:
    with suppress(OSError, ValueError):
        return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    return False


def _decoded(data: bytes, path: str) -> str:
    """UTF-8, or UTF-16 with its mark; raises FileError for anything else."""
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        if b"\0" not in data:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise FileError(f"{path} is no text")


def _shown(name: str) -> str:
    """A file's name on one line: it may hold any byte."""
    return "".join(character if character.isprintable() else "?" for character in name)


def _matches(text: str, name: str, wanted: str) -> list[str]:
    lines = enumerate(text.splitlines(), 1)
    return [f"{_shown(name)}:{number}: {line.strip()[:200]}" for number, line in lines if wanted in line.lower()]
