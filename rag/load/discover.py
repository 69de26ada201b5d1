"""Which files under the given paths are documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rag.load.formats import supported

SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages"})
"""Folders that tools fill; hidden ones (.git, .venv, .tox) and virtual environments are skipped as well."""


class Discovery(Iterator[Path]):
    """The documents found, in order, while one iterates.

    Attributes:
        unsupported: files in the folders so far that no parser reads; they are no errors.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self.unsupported = 0
        self._found = self._each(paths)

    def __next__(self) -> Path:
        return next(self._found)

    def _each(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
        seen: set[str] = set()
        for given in map(Path, paths):
            for path in self._walk(given, os.path.realpath(given)) if given.is_dir() else (given,):
                absolute = os.path.abspath(path)  # noqa: PTH100  # Path.resolve would follow links
                if absolute not in seen:
                    seen.add(absolute)
                    yield path

    def _walk(self, folder: Path, root: str) -> Iterator[Path]:
        """A folder that cannot be listed is yielded itself, so that `load` says why."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            yield folder
            return
        if any(entry.name == "pyvenv.cfg" for entry in listed):
            return
        for entry in listed:
            if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / entry.name, root)
            elif entry.is_dir() or leads_out(entry.path, root):
                continue
            elif entry.is_file() and supported(Path(entry.name)):
                yield folder / entry.name
            else:
                self.unsupported += 1


def leads_out(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> bool:
    """Whether the path, its symbolic links followed, lies outside `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def discover(paths: Iterable[str | os.PathLike[str]]) -> Discovery:
    """Walk files and folders in the order given, each folder sorted by name.

    Hidden files, build folders and links that lead out of their folder are skipped; what no parser reads is
    counted in `unsupported`. A file that is named itself is always yielded, even when it is missing or of an
    unknown kind, so that `load` raises the error for that file alone.
    """
    return Discovery(paths)
