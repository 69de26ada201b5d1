"""Zip archives of documents (Office Open XML, OpenDocument, EPUB), read part by part within limits.

What is refused: passwords, parts that claim to unpack to too much, unusual compression, absurd numbers of parts.
The names of parts are keys here and never become paths of files.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

from rag.errors import DamagedDocument, DocumentLimit, EncryptedDocument
from rag.load.safe_xml import parse_xml

UNPACKED = 128 << 20
"""Most bytes that the parts which are read may claim to unpack to, together: a DOM takes some ten times as much."""
MOST_PARTS = 50_000
USUAL = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others are never written by office programs, and an LZMA part names the size of its own dictionary."""


class Package:
    """The parts of one archive by name; names are compared without case, as Office Open XML does.

    Raises (here and in `read`):
        DamagedDocument: it is no sound zip archive, or lacks a part.
        EncryptedDocument: a part needs a password.
        DocumentLimit: it has too many parts, or they would unpack to too much.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise _damaged(f"it is no sound zip archive ({error})") from error
        parts = self._zip.infolist()
        if len(parts) > MOST_PARTS:
            raise DocumentLimit("loading", f"it has more than {MOST_PARTS} parts", "Split it")
        if any(part.flag_bits & 1 for part in parts):
            raise EncryptedDocument("loading", "it needs a password", "Save a copy without one")
        self._parts = {_key(part.filename): part for part in parts if not part.is_dir()}
        self._left = UNPACKED

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parts, as they are written."""
        return tuple(part.filename for part in self._parts.values())

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._parts

    def read(self, name: str) -> bytes:
        """One part's bytes."""
        part = self._parts.get(_key(name))
        if part is None:
            raise _damaged(f"its part {name[:100]!r} is missing")
        if part.compress_type not in USUAL:
            raise _damaged("a part is compressed in an unusual way")
        self._left -= part.file_size  # as claimed; zipfile never gives more than that
        if self._left < 0:
            raise DocumentLimit("loading", f"it would unpack to more than {UNPACKED >> 20} MiB", "Split the document")
        try:
            return self._zip.read(part)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, OSError) as error:
            raise _damaged(f"its part {name[:100]!r} cannot be unpacked ({error})") from error

    def xml(self, name: str) -> Any:
        """One part's root element; DamagedDocument when it is no XML or declares a document type."""
        return parse_xml(self.read(name))


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _damaged(cause: str) -> DamagedDocument:
    return DamagedDocument("loading", cause, "Save it again")
