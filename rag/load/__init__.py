"""Load documents of every format in `rag.load.formats`, each parsed in a child process under limits.

A file that crashes, hangs or bloats its parser is a `DocumentError` of that file alone. Nothing is ever fetched.
`load` reads one file; `load_all` reads what an archive holds as well, and never raises for a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from decoder.errors import MissingExtra
from rag.errors import DocumentError, DocumentLimit, UnsupportedFormat
from rag.load.archive import members
from rag.load.discover import Discovery, discover, leads_out
from rag.load.formats import PDF, ZIP, Parsed, identify
from rag.load.names import source_of
from rag.load.process import PARSING, Limits
from rag.load.reading import Reading, configured
from rag.load.scan import with_pictures_read
from rag.types import Document, Segment

__all__ = ["Discovery", "Limits", "Reading", "discover", "load", "load_all", "load_bytes", "source_of"]

DEFAULT_LIMITS = Limits()
PAGE_BREAK = "\n\n"
"""Stands between the texts of two pages, and belongs to the segment of the first."""


def load(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    password: str = "",
    reading: Reading | None = None,
) -> Document:
    """Load one file.

    Args:
        path: the file. `Document.source` is this path as given, posix style, so that files of the same name
            under two folders stay apart.
        root: the folder that the file must lie in, links followed; None allows any place.
        limits: time, memory and sizes that the file may take.
        password: of an encrypted PDF; tried before those of the settings.
        reading: passwords and OCR; None takes them from the settings.

    Raises:
        UnsupportedFormat, DamagedDocument, EncryptedDocument, NoText, DocumentLimit: what is wrong with it.
        DocumentError: it cannot be opened, or lies outside `root`.
        MissingExtra: its parser is not installed.
    """
    path = Path(path)
    data = read_file(path, root, limits)
    reading = reading or configured(password)
    if password and password not in reading.passwords:
        reading = replace(reading, passwords=(password, *reading.passwords))
    return load_bytes(data, path.name, source_of(path), limits, reading)


def load_bytes(
    data: bytes, name: str, source: str = "", limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None
) -> Document:
    """Load a document that is at hand as bytes: a member of an archive, or something that was fetched.

    Args:
        name: its file name, which tells its format; without a suffix its first bytes do.
        source: what the document is called; empty means `name`.

    Raises: as `load` does.
    """
    source = source or source_of(Path(name))
    step = f"loading {source}"
    if len(data) > limits.file_size:
        raise _too_large(limits, step, source)
    kind = identify(PurePath(name), data, step, source)
    if kind is ZIP:
        raise UnsupportedFormat(step, "it is an archive", "Read its members with `load_all`", source)
    reading = reading or configured()
    options = {"passwords": reading.passwords} if kind is PDF else {}
    parsed = PARSING.parse(kind, data, limits, step, source, **options)
    parsed = with_pictures_read(parsed, kind, data, limits, reading, step, source)
    text, segments = _joined(parsed)
    return Document(
        source=source,
        text=text,
        content_hash=hashlib.sha256(data).hexdigest(),
        media_type=kind.media_type,
        title=parsed.title or name.encode("utf-8", "backslashreplace").decode(),
        segments=segments if kind.paged else (),
        metadata=parsed.metadata,
    )


def load_all(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    reading: Reading | None = None,
) -> Iterator[Document | DocumentError]:
    """Load one file, or every member of an archive: each a document, or the error of it alone.

    A ZIP's member is called `archive.zip!/folder/file.md`, one of an archive inside it
    `archive.zip!/inner.zip!/file.md`. A member that no parser reads is an `UnsupportedFormat`, so that it can be
    counted and not listed; an archive that cannot be read at all is one error with the archive's own source.

    Raises:
        ServiceError: the parsing process cannot be started. No error of a file is raised.
    """
    path = Path(path)
    source = source_of(path)
    reading = reading or configured()
    try:
        data = read_file(path, root, limits)
        if identify(path, data, f"loading {source}", source) is not ZIP:
            yield _loaded(data, path.name, source, limits, reading)
            return
        for member in members(data, source, limits):
            if isinstance(member, DocumentError):
                yield member
            else:
                yield _loaded(member.data, PurePath(member.name).name, member.source, limits, reading)
    except DocumentError as error:
        yield error


def _loaded(data: bytes, name: str, source: str, limits: Limits, reading: Reading) -> Document | DocumentError:
    try:
        return load_bytes(data, name, source, limits, reading)
    except DocumentError as error:
        return error
    except MissingExtra as error:
        return DocumentError(error.step, error.cause, error.remedy, source)


def _joined(parsed: Parsed) -> tuple[str, tuple[Segment, ...]]:
    """The pages as one text, and where each lies in it; together the segments cover the text."""
    segments: list[Segment] = []
    start = 0
    for number, page in enumerate(parsed.pages, 1):
        end = start + len(page) + (len(PAGE_BREAK) if number < len(parsed.pages) else 0)
        segments.append(Segment(start, end, number))
        start = end
    return PAGE_BREAK.join(parsed.pages), tuple(segments)


def read_file(path: Path, root: str | os.PathLike[str] | None = None, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """All bytes of a regular file. What is hashed is what is parsed: the file is opened once. Raises as `load`."""
    source = source_of(path)
    step = f"loading {source}"
    if root is not None and leads_out(path, root):
        raise DocumentError(step, f"it leads out of {source_of(Path(root))}", "Index the file by its own path", source)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would block otherwise
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise DocumentError(step, "it is a folder", "Name its files, or walk it with `discover`", source)
            if not stat.S_ISREG(status.st_mode):
                raise UnsupportedFormat(step, "it is no regular file", "", source)
            data = file.read(limits.file_size + 1) if status.st_size <= limits.file_size else None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DocumentError(step, f"it cannot be read: {cause}", "Check its path and permissions", source) from error
    if data is None or len(data) > limits.file_size:
        raise _too_large(limits, step, source)
    return data


def _too_large(limits: Limits, step: str, source: str) -> DocumentLimit:
    return DocumentLimit(step, f"it is larger than {limits.file_size} bytes", "Split it", source)
