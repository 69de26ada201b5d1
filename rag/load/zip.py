"""ZIP, in the parsing process: hand out the members' bytes, some at a time. Nothing is written to disk.

Names are judged as if they were going to be written, because they name documents: what leads out of the archive in
any notation is refused. A member that is refused or broken is an error of that member alone.
"""

from __future__ import annotations

import io
import lzma
import stat
import zipfile
import zlib
from typing import Any

from rag.errors import DamagedDocument, DocumentError, DocumentLimit, EncryptedDocument, UnsupportedFormat
from rag.load.names import member_name

RATIO = 200
"""A member may unpack to so many times its packed size; what is smaller than RATIO_FROM may do so more often."""
RATIO_FROM = 1 << 20
_ENTRY = b"PK\x01\x02"
"""Begins every entry of an archive's directory."""


def unpack(data: bytes, start: int, batch: int, largest: int, most: int) -> tuple[dict[str, Any], bytes]:
    """The members from number `start` on, until they have `batch` bytes together.

    Args:
        largest: bytes that one member may have.
        most: members that the archive may have, with those of archives that are stored in it unpacked.

    Returns:
        values: `members`, each with `name`, and `size` or an error's type, cause and remedy; `next`, the number to
        go on from, or -1. Then the bytes of those with a size, one after another.

    Raises:
        DamagedDocument, DocumentLimit, UnsupportedFormat: of the archive as a whole.
    """
    if data.count(_ENTRY) > most:  # before a million of them are read
        raise DocumentLimit("loading", f"it holds more than {most} files", "Split it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _batch(archive, archive.infolist(), start, batch, largest)
    except NotImplementedError as error:  # a member says that a newer version of the format is needed
        raise UnsupportedFormat("loading", f"it is of a kind that is not read ({error})", "Pack it again") from error
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DamagedDocument("loading", f"it is no whole ZIP archive ({error})", "Pack it again") from error


def _batch(
    archive: zipfile.ZipFile, parts: list[zipfile.ZipInfo], start: int, batch: int, largest: int
) -> tuple[dict[str, Any], bytes]:
    found: list[dict[str, Any]] = []
    made = bytearray()
    for number in range(start, len(parts)):
        part = parts[number]
        if part.filename.endswith("/"):  # a folder; `is_dir` fails on an empty name
            continue
        if made and len(made) + part.file_size > batch:
            return {"members": found, "next": number}, bytes(made)
        name = _shown(part)
        try:
            content = _content(archive, part, largest)
            found.append({"name": member_name(name), "size": len(content)})
            made += content
        except DocumentError as error:
            kind = type(error).__name__
            found.append({"name": name, "error": kind, "cause": error.cause, "remedy": error.remedy})
    return {"members": found, "next": -1}, bytes(made)


def _shown(part: zipfile.ZipInfo) -> str:
    """Its name as stored. Without the flag for UTF-8 it is read as such all the same where it can be."""
    if part.flag_bits & 0x800:
        return part.orig_filename
    try:
        return part.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return part.orig_filename


def _content(archive: zipfile.ZipFile, part: zipfile.ZipInfo, largest: int) -> bytes:
    step = "loading"
    member_name(_shown(part))
    mode = part.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise UnsupportedFormat(step, "it is a link or a device, no file", "Pack the file itself")
    if part.flag_bits & 1:
        raise EncryptedDocument(step, "it needs a password", "Pack it without one")
    if part.file_size > largest:
        raise DocumentLimit(step, f"it is larger than {largest} bytes", "Split it")
    if part.file_size > RATIO_FROM and part.file_size > RATIO * max(1, part.compress_size):
        raise DocumentLimit(step, f"it would unpack to more than {RATIO} times its packed size", "Pack it otherwise")
    try:
        with archive.open(part) as file:
            content = file.read(largest + 1)
    except NotImplementedError as error:
        raise UnsupportedFormat(step, f"it is packed in a way that is not read ({error})", "Pack it again") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise DamagedDocument(step, f"it cannot be unpacked ({error})", "Pack it again") from error
    except MemoryError as error:
        raise DocumentLimit(step, "unpacking it takes too much memory", "Pack it otherwise") from error
    if len(content) != part.file_size:
        raise DamagedDocument(step, "it is not as large as the archive claims", "Pack it again")
    return content
