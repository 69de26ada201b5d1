"""Plain text: find the encoding, normalise the line ends, keep everything else."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

from rag.errors import DamagedDocument
from rag.load.charset import one_byte, seven_bit, unmarked_wide
from rag.load.east_asian import east_asian
from rag.load.formats import Parsed

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def parse(data: bytes) -> Parsed:
    """Text in any of the usual encodings; raises DamagedDocument when the bytes are no text."""
    return Parsed((decode(data),))


def decode(data: bytes) -> str:
    r"""Bytes as text with `\n` line ends: by mark, then UTF-8, UTF-16 and UTF-32 without a mark, else the likeliest."""
    try:
        text = _decode(data)
    except (UnicodeDecodeError, LookupError) as error:
        raise DamagedDocument("loading", f"its text cannot be decoded: {error}", "Save it as UTF-8") from error
    if len(_CONTROL.findall(text)) > 0.1 * len(text):
        raise DamagedDocument("loading", "it is binary, not text", "Check its file name")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    if wide := unmarked_wide(data):
        return data.decode(wide)
    try:
        return data.decode(seven_bit(data) or "utf-8")
    except UnicodeDecodeError:
        return _legacy(data)


def _legacy(data: bytes) -> str:
    """A one-byte character set by the language's letters, an East Asian one by its rows, else a guess."""
    if charset := one_byte(data):
        return data.decode(charset, "replace")
    if charset := east_asian(data):
        with suppress(UnicodeDecodeError):
            return data.decode(charset)
    from charset_normalizer import from_bytes

    if best := from_bytes(data).best():
        return str(best)
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
