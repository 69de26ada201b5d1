"""Which files under the given paths are documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rag.load import ocr
from rag.load.formats import is_picture, supported
from rag.load.ignore import GITIGNORE, HEARTHIGNORE, Rules, patterns
from rag.load.reading import configured

SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages"})
"""Folders that tools fill; hidden ones (.git, .venv, .tox) and virtual environments are skipped as well."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk is: the folder as given, the same without links, and the rules that hold."""

    given: Path
    root: str
    rules: Rules


class Discovery(Iterator[Path]):
    """The documents found, in order, while one iterates.

    Attributes:
        unsupported: files in the folders so far that no parser reads; they are no errors.
        ignored: files, and folders as one each, that ignore rules or patterns left out so far.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        gitignore: bool = False,
    ) -> None:
        self.unsupported = self.ignored = 0
        self._include = patterns(include, "include") if include else None
        self._exclude = patterns(exclude, "exclude") if exclude else None
        self._rule_files = (GITIGNORE, HEARTHIGNORE) if gitignore else (HEARTHIGNORE,)
        self._found = self._each(paths)

    def __next__(self) -> Path:
        return next(self._found)

    def _each(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
        seen: set[str] = set()
        for given in map(Path, paths):
            for path in self._walk_from(given) if given.is_dir() else (given,):
                absolute = os.path.abspath(path)  # noqa: PTH100  # Path.resolve would follow links
                if absolute not in seen:
                    seen.add(absolute)
                    yield path

    def _walk_from(self, folder: Path) -> Iterator[Path]:
        rules = Rules(((folder, self._exclude),) if self._exclude else ())
        yield from self._walk(folder, _Place(folder, os.path.realpath(folder), rules))

    def _walk(self, folder: Path, place: _Place) -> Iterator[Path]:
        """A folder that cannot be listed is yielded itself, so that `load` says why."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            yield folder
            return
        if any(entry.name == "pyvenv.cfg" for entry in listed):
            return
        names = [entry.name for entry in listed if entry.is_file(follow_symlinks=False)]
        place = replace(place, rules=place.rules.entering(folder, names, self._rule_files))
        for entry in listed:
            if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
                continue
            path, is_folder = folder / entry.name, entry.is_dir(follow_symlinks=False)
            if place.rules.ignore(path, is_folder) or not (is_folder or self._includes(path, place.given)):
                self.ignored += 1
            elif is_folder:
                yield from self._walk(path, place)
            elif entry.is_dir() or leads_out(entry.path, place.root):
                continue
            elif entry.is_file() and self._reads(path):
                yield path
            else:
                self.unsupported += 1

    def _includes(self, path: Path, given: Path) -> bool:
        return self._include is None or self._include.match_file(path.relative_to(given).as_posix())

    def _reads(self, path: Path) -> bool:
        return supported(path) and (self._sees or not is_picture(path))

    @cached_property
    def _sees(self) -> bool:
        """Whether pictures are documents here: OCR is on, and there is a program for it."""
        return ocr.available() and configured().ocr


def leads_out(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> bool:
    """Whether the path, its symbolic links followed, lies outside `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def discover(
    paths: Iterable[str | os.PathLike[str]],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    gitignore: bool = False,
) -> Discovery:
    """Walk files and folders in the order given, each folder sorted by name.

    Hidden files, build folders and links that lead out of their folder are skipped; what no parser reads is
    counted in `unsupported`, pictures too where there is no OCR. A file that is named itself is always yielded, even
    when it is missing or of an unknown kind, so that `load` raises the error for that file alone.

    Files `.hearthignore` in the folders hold patterns as a `.gitignore` does: of what to leave out there and below.

    Args:
        include: patterns, relative to the folder given; with any, only files that match one are yielded.
        exclude: patterns of files and folders to leave out; a `.hearthignore` can take one back with `!`.
        gitignore: whether files `.gitignore` hold too.

    Raises:
        UsageError: a pattern is malformed, or a file of rules cannot be read.
    """
    return Discovery(paths, include, exclude, gitignore)
