"""Markdown: kept as it is written, so that line numbers are the file's own. References are never fetched."""

from __future__ import annotations

import re

from rag.load.formats import Parsed
from rag.load.properties import properties
from rag.load.text import decode

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_LINE = re.compile(r"^(\w[\w-]*):[ \t]*(\S.*)$", re.MULTILINE)
_MARKS = "\"'[] \t"
_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)
_FIRST_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)


def parse(data: bytes) -> Parsed:
    """The text unchanged; the title is the front matter's, else the first heading's; its other lines are metadata."""
    text = decode(data)
    front = _FRONT_MATTER.match(text)
    pairs = _LINE.findall(front.group(1)) if front else []
    return Parsed((text,), title_of(text), properties((name.lower(), value.strip(_MARKS)) for name, value in pairs))


def title_of(text: str) -> str:
    """The title in the front matter (read as a line, not as YAML), else the first heading; may be empty."""
    front = _FRONT_MATTER.match(text)
    if front and (named := _TITLE.search(front.group(1))):
        return named.group(1).strip().strip("\"'").strip()
    heading = _FIRST_HEADING.search(text, front.end() if front else 0)
    return heading.group(1).strip() if heading else ""
