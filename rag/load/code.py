"""Source code: kept as it is written, so that line numbers are the file's own. It is never run or imported."""

from __future__ import annotations

import codecs
import re

from rag.load.formats import Parsed
from rag.load.text import decode

_DECLARED = re.compile(rb"\A(?:[^\n]*\n)?[^\n]*?coding[:=][ \t]*([-\w.]+)")
"""In the first two lines, as Python (PEP 263), Ruby and Emacs have it."""


def parse(data: bytes) -> Parsed:
    """The text unchanged but for its line ends; the encoding is the declared one, else the likeliest."""
    declared = _DECLARED.match(data[:400])
    if declared and _is_text_encoding(name := declared.group(1).decode("ascii", "replace")):
        try:
            return Parsed((data.decode(name).replace("\r\n", "\n").replace("\r", "\n"),))
        except UnicodeError:
            return Parsed((decode(data),))
    return Parsed((decode(data),))


def _is_text_encoding(name: str) -> bool:
    """Whether Python knows it, and it is none of those that are no character sets (such as zip or rot13)."""
    try:
        return codecs.lookup(name)._is_text_encoding and name.lower().replace("-", "_") not in (
            "utf_7",
            "idna",
            "punycode",
        )
    except LookupError:
        return False
