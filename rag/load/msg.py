"""Outlook's MSG: the properties of a message in an OLE file ([MS-OXMSG]), read with olefile (BSD-2-Clause)."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rag.errors import DamagedDocument
from rag.load.formats import Parsed
from rag.load.html import parse as parse_html
from rag.load.mail import Attachment, Letter, body_of, worded
from rag.load.text import decode

if TYPE_CHECKING:
    from olefile import OleFileIO  # type: ignore[import-untyped]

SUBJECT, SENDER, SENDER_ADDRESS, SENDER_SMTP, TO, CC = "0037", "0C1A", "0C1F", "5D01", "0E04", "0E03"
BODY, HTML, DATA, LONG_NAME, SHORT_NAME = "1000", "1013", "3701", "3707", "3704"
SENT, DELIVERED = 0x0039, 0x0E06
"""Property identifiers of [MS-OXPROPS]; the type follows them in a stream's name."""
LEVELS = 1000
_FAULTS = (OSError, ValueError, LookupError, struct.error, AttributeError, TypeError, RecursionError)
"""What olefile raises on broken files."""


def parse(data: bytes) -> Parsed:
    """The message under its subject, then each attachment under its name; headers are metadata too.

    Raises:
        DamagedDocument: it is no OLE file, or holds no message.
    """
    from olefile import OleFileIO
    from olefile.olefile import OleFileError  # type: ignore[import-untyped]

    try:
        with _shallow():
            ole = OleFileIO(io.BytesIO(data))
        with ole:
            return worded(_letter(ole))
    except (OleFileError, *_FAULTS) as error:
        cause = f"it is no whole Outlook message ({type(error).__name__})"
        raise DamagedDocument("loading", cause, "Save it again, or as .eml") from error


@contextmanager
def _shallow() -> Iterator[None]:
    """Fewer levels of calls: olefile walks the folders of a file by recursion, and these may go in a circle."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(min(usual, LEVELS))
    try:
        yield
    finally:
        sys.setrecursionlimit(usual)


def _letter(ole: OleFileIO) -> Letter:
    name, address = _text(ole, SENDER), _text(ole, SENDER_SMTP) or _text(ole, SENDER_ADDRESS)
    sender = f"{name} <{address}>" if name and "@" in address and name != address else name or address
    headers = {
        "subject": _text(ole, SUBJECT),
        "from": sender,
        "to": _text(ole, TO),
        "cc": _text(ole, CC),
        "date": _date(ole),
    }
    page = _bytes(ole, f"__substg1.0_{HTML}0102") or _text(ole, HTML).encode()
    html = parse_html(page).pages[0] if page else ""
    plain = _text(ole, BODY).replace("\r\n", "\n").replace("\r", "\n")
    folders = sorted({entry[0] for entry in ole.listdir() if entry[0].startswith("__attach_version1.0_")})
    attachments = tuple(_attachment(ole, folder) for folder in folders)
    kept = {key: " ".join(value.replace("\0", "").split())[:1000] for key, value in headers.items()}
    return Letter({key: value for key, value in kept.items() if value}, body_of(plain, html), attachments)


def _attachment(ole: OleFileIO, folder: str) -> Attachment:
    name = _text(ole, LONG_NAME, f"{folder}/") or _text(ole, SHORT_NAME, f"{folder}/") or "attachment"
    return Attachment(name.replace("\0", ""), _bytes(ole, f"{folder}/__substg1.0_{DATA}0102"))


def _bytes(ole: OleFileIO, name: str) -> bytes:
    return bytes(ole.openstream(name).read()) if ole.exists(name) else b""


def _text(ole: OleFileIO, tag: str, folder: str = "") -> str:
    """A property that is text, in UTF-16 (type 001F) or in some older encoding (001E)."""
    if wide := _bytes(ole, f"{folder}__substg1.0_{tag}001F"):
        return wide.decode("utf-16-le", "replace").rstrip("\0")
    return decode(_bytes(ole, f"{folder}__substg1.0_{tag}001E").rstrip(b"\0"))


def _date(ole: OleFileIO) -> str:
    """When it was sent, else delivered, in ISO 8601: sixteen bytes a property behind a header of 32, of FILETIMEs."""
    stream = _bytes(ole, "__properties_version1.0")[32:]
    found = {}
    for at in range(0, len(stream) - 15, 16):
        tag, _, value = struct.unpack("<IIQ", stream[at : at + 16])
        if tag & 0xFFFF == 0x0040:
            found[tag >> 16] = value
    ticks = found.get(SENT) or found.get(DELIVERED) or 0
    try:
        return (datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)).isoformat() if ticks else ""
    except OverflowError:
        return ""
