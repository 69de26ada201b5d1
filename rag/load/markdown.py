"""Markdown: kept as it is written, so that line numbers are the file's own. References are never fetched."""

from __future__ import annotations

import re

from rag.load.formats import Parsed
from rag.load.text import decode

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)
_FIRST_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)


def parse(data: bytes) -> Parsed:
    """The text unchanged; the title is the front matter's, else the first heading's."""
    text = decode(data)
    return Parsed((text,), title_of(text))


def title_of(text: str) -> str:
    """The title in the front matter (read as a line, not as YAML), else the first heading; may be empty."""
    front = _FRONT_MATTER.match(text)
    if front and (named := _TITLE.search(front.group(1))):
        return named.group(1).strip().strip("\"'").strip()
    heading = _FIRST_HEADING.search(text, front.end() if front else 0)
    return heading.group(1).strip() if heading else ""
