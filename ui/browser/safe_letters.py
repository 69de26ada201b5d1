"""Letters as Markdown that shows just these letters in Streamlit.

A backslash before each sign keeps Markdown's own grammar off. Streamlit then still looks for patterns in the text that
comes out of it: bare addresses become links, `:name:` an emoji or an icon, `->` an arrow. Where one would be found, an
invisible word joiner is put inside it.
"""

from __future__ import annotations

import re
import string

from ui.text_cleaning import clean

JOINER = "\u2060"
_ESCAPED = {ord(sign): f"\\{sign}" for sign in string.punctuation}
_ADDRESSES = re.compile(
    r"(?<=http:)(?=//)|(?<=https:)(?=//)|(?<=www)(?=\.)|(?<=[-.\w+]@)(?=[-\w])", re.ASCII | re.IGNORECASE
)
_CODES = re.compile(r":(?=[\w+-]+:)", re.ASCII)
_ARROWS = re.compile(r"(?<!\S)(<-|[-<>~])(?=[->=](?!\S))")
_ICONS = ":material/"


def letters(text: str, *, in_link: bool = False) -> str:
    """The text, already clean, escaped. Addresses within a link need no care: a link holds no other."""
    parted = text if in_link else _ADDRESSES.sub(JOINER, text)
    parted = _ARROWS.sub(rf"\g<0>{JOINER}", _CODES.sub(f":{JOINER}", parted))
    return parted.translate(_ESCAPED)


def code_letters(text: str) -> str:
    """The text as the content of code. Streamlit rewrites the names of icons even there."""
    return text.replace(_ICONS, f":{JOINER}{_ICONS[1:]}")


def neutral(text: str) -> str:
    """The text without control characters and those that turn its direction; tabs and line feeds stay."""
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))
