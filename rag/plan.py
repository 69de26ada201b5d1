"""What an indexing run has to do: the files there are, against what the manifest says of them.

A document is known by its absolute path and called by the path the user gave first. Equal size and modification
time save hashing a file again. Knows no store and reads nothing but bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rag.load import source_of
from rag.manifest import DocumentEntry

RECENT_NANOSECONDS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found. `source` is what the index calls it; `path` is absolute."""

    source: str
    path: str
    hash: str
    mtime_ns: int
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, by source.

    Attributes:
        read: files to load, cut and embed, in order.
        duplicates: files whose bytes another source holds, newly so; maps to the file and that source.
        removed: sources to forget.
        unchanged: entries of files that were looked at and stay as they are.
        elsewhere: entries of documents that are not inside the roots, or inside a folder that cannot be listed.
        failed: files that could not even be read, with the reason.
    """

    read: tuple[File, ...] = ()
    duplicates: Mapping[str, tuple[File, str]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unchanged: Mapping[str, DocumentEntry] = field(default_factory=dict)
    elsewhere: Mapping[str, DocumentEntry] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def plan(files: Iterable[Path], roots: Sequence[Path], known: Mapping[str, DocumentEntry], recut: bool = False) -> Plan:
    """Compare `files`, which are what `roots` hold now, with the documents `known` to the index.

    Args:
        recut: unchanged files are to be read again too (passages are cut differently now).
    """
    found, failed, closed = _scan(files, known)
    for source in _strays(roots, known):
        if (path := Path(known[source].path)).is_file() and source not in found:
            found.update(_scan([path], known)[0])
    gone = [
        source
        for source, entry in known.items()
        if source not in found and _within(entry.path, roots) and not _within(entry.path, closed)
    ]
    gone += [source for source in _strays(roots, known) if source not in found and source not in gone]
    elsewhere = {source: entry for source, entry in known.items() if source not in found and source not in gone}
    owners = {entry.hash: source for source, entry in elsewhere.items() if not entry.duplicate_of}
    same = {s: known[s] for s, file in found.items() if s in known and known[s].hash == file.hash and not recut}
    unchanged = {
        s: entry for s, entry in same.items() if not entry.duplicate_of and owners.setdefault(entry.hash, s) == s
    }
    read, duplicates = [], {}
    for source, file in found.items():
        owner = owners.setdefault(file.hash, source)
        if owner == source and source not in unchanged:
            read.append(file)
        elif owner != source and source in same and same[source].duplicate_of == owner:
            unchanged[source] = same[source]
        elif owner != source:
            duplicates[source] = (file, owner)
    return Plan(tuple(read), duplicates, tuple(gone), unchanged, elsewhere, failed)


def entry_for(file: File, text: str, passages: int, title: str) -> DocumentEntry:
    """The manifest's entry of a file that was read. `text` is the hash of its extracted text."""
    # A file may change again within the clock's resolution: such a time is not worth remembering.
    recent = time.time_ns() - file.mtime_ns < RECENT_NANOSECONDS
    return DocumentEntry(
        file.hash, text, passages, title, 0 if recent else file.mtime_ns, file.size, file.path, duplicate_of=""
    )


def duplicate_entry(file: File, owner: str, entry: DocumentEntry) -> DocumentEntry:
    """The manifest's entry of a file whose bytes `owner` holds."""
    own = entry_for(file, entry.text, 0, entry.title)
    return replace(own, duplicate_of=owner)


def _scan(
    files: Iterable[Path], known: Mapping[str, DocumentEntry]
) -> tuple[dict[str, File], dict[str, str], list[Path]]:
    """What was found by source, what could not be read, and the folders that could not be listed."""
    by_path = {entry.path: source for source, entry in known.items()}
    found: dict[str, File] = {}
    failed: dict[str, str] = {}
    closed: list[Path] = []
    for given in files:
        path = os.path.abspath(given)  # noqa: PTH100  # Path has no absolute() that also drops ".."
        source = by_path.get(path) or source_of(given)
        holder = found[source].path if source in found else known[source].path if source in known else path
        if holder != path:
            source = source_of(Path(path))
        try:
            found[source] = _stat(source, path, known.get(source))
        except IsADirectoryError:
            closed.append(Path(path))
            failed[source] = f"reading {source}: the folder cannot be listed. Check its permissions"
        except OSError as error:
            if isinstance(error, FileNotFoundError) and source in known:
                continue  # it was deleted: that is news, not a failure
            failed[source] = f"reading {source}: {error.strerror or error}. Check the file's permissions"
    return found, failed, closed


def _stat(source: str, path: str, entry: DocumentEntry | None) -> File:
    status = Path(path).stat()
    if entry is not None and entry.mtime_ns and (entry.mtime_ns, entry.size) == (status.st_mtime_ns, status.st_size):
        digest = entry.hash
    elif stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    elif not stat.S_ISREG(status.st_mode):
        digest = f"no regular file: {path}"  # opening it might never return; the loader says what it is
    else:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(source, path, digest, status.st_mtime_ns, status.st_size)


def _strays(roots: Sequence[Path], known: Mapping[str, DocumentEntry]) -> Iterator[str]:
    """Duplicates elsewhere of what is inside the roots: they must be read should that one go."""
    for source, entry in known.items():
        owner = known.get(entry.duplicate_of)
        if owner is not None and _within(owner.path, roots) and not _within(entry.path, roots):
            yield source


def _within(path: str, roots: Sequence[Path]) -> bool:
    return any(Path(path).is_relative_to(os.path.abspath(root)) for root in roots)  # noqa: PTH100
