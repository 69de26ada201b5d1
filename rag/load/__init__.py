"""Load documents: text, Markdown, HTML, PDF by page and DOCX, each parsed in a child process under limits.

A file that crashes, hangs or bloats its parser is a `DocumentError` of that file alone. Nothing is ever fetched.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePath

from rag.errors import DocumentError, DocumentLimit, NoText, UnsupportedFormat
from rag.load.discover import Discovery, discover, leads_out
from rag.load.formats import PDF, Parsed, identify
from rag.load.process import PARSING, Limits
from rag.types import Document, Segment

__all__ = ["Discovery", "Limits", "discover", "load", "load_bytes", "source_of"]

DEFAULT_LIMITS = Limits()
PAGE_BREAK = "\n\n"
"""Stands between the texts of two pages, and belongs to the segment of the first."""


def load(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, limits: Limits = DEFAULT_LIMITS
) -> Document:
    """Load one file.

    Args:
        path: the file. `Document.source` is this path as given, posix style, so that files of the same name
            under two folders stay apart.
        root: the folder that the file must lie in, links followed; None allows any place.
        limits: time, memory and sizes that the file may take.

    Raises:
        UnsupportedFormat, DamagedDocument, EncryptedDocument, NoText, DocumentLimit: what is wrong with it.
        DocumentError: it cannot be opened, or lies outside `root`.
        MissingExtra: its parser is not installed.
    """
    path = Path(path)
    source = source_of(path)
    step = f"loading {source}"
    if root is not None and leads_out(path, root):
        raise DocumentError(step, f"it leads out of {source_of(Path(root))}", "Index the file by its own path", source)
    return _document(path.name, _read(path, limits, step, source), source, limits)


def load_bytes(data: bytes, name: str, source: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Load a document that is not a file: a fetched page, a member of an archive.

    Args:
        name: a file name; its suffix tells the format where it has one.
        source: what `Document.source` says.

    Raises:
        DocumentError, MissingExtra: as `load` does.
    """
    if len(data) > limits.file_size:
        raise DocumentLimit(f"loading {source}", f"it is larger than {limits.file_size} bytes", "Split it", source)
    return _document(name, data, source, limits)


def _document(name: str, data: bytes, source: str, limits: Limits) -> Document:
    step = f"loading {source}"
    kind = identify(PurePath(name), data, step, source)
    parsed = PARSING.parse(kind, data, limits, step, source)
    if not any(page.strip() for page in parsed.pages):
        remedy = "If it is a scan, recognise its text (OCR) first" if kind is PDF else ""
        raise NoText(step, "it holds no text", remedy, source)
    text, segments = _joined(parsed)
    return Document(
        source=source,
        text=text,
        content_hash=hashlib.sha256(data).hexdigest(),
        media_type=kind.media_type,
        title=parsed.title or name.encode("utf-8", "backslashreplace").decode(),
        segments=segments if kind is PDF else (),
    )


def source_of(path: Path) -> str:
    r"""A path as the name of a document: posix style, one line, bytes that are no UTF-8 as `\udc80` escapes."""
    name = path.as_posix().encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _joined(parsed: Parsed) -> tuple[str, tuple[Segment, ...]]:
    """The pages as one text, and where each lies in it; together the segments cover the text."""
    segments: list[Segment] = []
    start = 0
    for number, page in enumerate(parsed.pages, 1):
        end = start + len(page) + (len(PAGE_BREAK) if number < len(parsed.pages) else 0)
        segments.append(Segment(start, end, number))
        start = end
    return PAGE_BREAK.join(parsed.pages), tuple(segments)


def _read(path: Path, limits: Limits, step: str, source: str) -> bytes:
    """All bytes of a regular file. What is hashed is what is parsed: the file is opened once."""
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
        raise DocumentLimit(step, f"it is larger than {limits.file_size} bytes", "Split it", source)
    return data
