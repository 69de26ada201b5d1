"""What an indexing run has to do: the files there are, against what the manifest says of them.

A document is known by its absolute path and called by the path the user gave first. Equal size and modification
time save hashing a file again. The members of an archive follow it. Knows no store and reads nothing but bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rag.labels import Labels, labels_of
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
        duplicates: files whose bytes another source holds under the same labels, newly so; maps to the file and it.
        removed: sources to forget.
        unchanged: sources of files that were looked at and stay as they are.
        failed: files that could not even be read, with the reason.
    """

    read: tuple[File, ...] = ()
    duplicates: Mapping[str, tuple[File, str]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


def plan(
    files: Iterable[Path],
    roots: Sequence[Path],
    known: Mapping[str, DocumentEntry],
    recut: bool = False,
    labels: Labels | None = None,
) -> Plan:
    """Compare `files`, which are what `roots` hold now, with the documents `known` to the index.

    Args:
        recut: unchanged files are to be read again too (passages are cut differently now).
        labels: what the files are to be labelled with; None leaves each as it was.
    """
    known = {source: entry for source, entry in known.items() if not entry.member_of}
    found, failed, closed = _scan(files, known)
    for source in _strays(roots, known):
        if (path := Path(known[source].path)).is_file() and source not in found:
            found.update(_scan([path], known)[0])
    tops, shut = _absolute(roots), _absolute(closed)
    gone = [s for s, e in known.items() if s not in found and _within(e.path, tops) and not _within(e.path, shut)]
    gone += [source for source in _strays(roots, known) if source not in found and source not in gone]
    left = known.keys() - found.keys() - set(gone)
    owners = {_key(known[s].hash, labels_of(known[s])): s for s in known if s in left and not known[s].duplicate_of}
    read, duplicates, unchanged = [], {}, []
    stays = {s for s, file in found.items() if s in known and not recut and _same(file, known[s], labels)}
    wanted = {s: _key(file.hash, labels or _known_labels(s, known)) for s, file in found.items()}
    for source in found:  # what stays owns its bytes before what is new does
        if source in stays and not known[source].duplicate_of:
            owners.setdefault(wanted[source], source)
    for source, file in found.items():
        owner = owners.setdefault(wanted[source], source)
        if source in stays and known[source].duplicate_of == ("" if owner == source else owner):
            unchanged.append(source)
        elif owner == source:
            read.append(file)
        else:
            duplicates[source] = (file, owner)
    return Plan(tuple(read), duplicates, tuple(gone), tuple(unchanged), failed)


def _same(file: File, entry: DocumentEntry, labels: Labels | None) -> bool:
    return file.hash == entry.hash and (labels is None or labels == labels_of(entry))


def _known_labels(source: str, known: Mapping[str, DocumentEntry]) -> Labels:
    return labels_of(known[source]) if source in known else Labels()


def _key(digest: str, labels: Labels) -> str:
    return f"{digest} {labels.key}"


def entry_for(file: File, text: str, passages: int, title: str, labels: Labels) -> DocumentEntry:
    """The manifest's entry of a file that was read. `text` is the hash of its extracted text."""
    # A file may change again within the clock's resolution: such a time is not worth remembering.
    recent = time.time_ns() - file.mtime_ns < RECENT_NANOSECONDS
    return DocumentEntry(
        file.hash,
        text,
        passages,
        title,
        0 if recent else file.mtime_ns,
        file.size,
        file.path,
        tenant=labels.tenant,
        readers=labels.readers,
        metadata=labels.metadata,
    )


def duplicate_entry(file: File, owner: str, entry: DocumentEntry) -> DocumentEntry:
    """The manifest's entry of a file whose bytes `owner` holds."""
    own = entry_for(file, entry.text, 0, entry.title, labels_of(entry))
    return replace(own, duplicate_of=owner, media_type=entry.media_type)


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


def _absolute(paths: Iterable[Path]) -> list[str]:
    return [os.path.abspath(path) for path in paths]  # noqa: PTH100  # Path has no absolute() that also drops ".."


def _strays(roots: Sequence[Path], known: Mapping[str, DocumentEntry]) -> Iterator[str]:
    """Duplicates elsewhere of what is inside the roots: they must be read should that one go."""
    tops = _absolute(roots)
    for source, entry in known.items():
        owner = known.get(entry.duplicate_of) if entry.duplicate_of else None
        if owner is not None and _within(owner.path, tops) and not _within(entry.path, tops):
            yield source


def _within(path: str, roots: Sequence[str]) -> bool:
    """Whether `path` is one of the absolute paths `roots` or lies below one."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
