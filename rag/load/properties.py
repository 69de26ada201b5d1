"""What a file says of itself (author, created, subject, ...) as metadata that searches can filter by."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag.types import Metadata, Value

MOST_CHARACTERS = 200
MOST_KEYWORDS = 32
NAMES = {
    "creator": "author",
    "initial-creator": "author",
    "author": "author",
    "subject": "subject",
    "keyword": "keywords",
    "keywords": "keywords",
    "tags": "keywords",
    "lang": "language",
    "category": "category",
    "description": "description",
    "language": "language",
    "publisher": "publisher",
    "created": "created",
    "creation-date": "created",
    "modified": "modified",
    "date": "created",
}
"""Names of Dublin Core, Office Open XML, OpenDocument, HTML and front matter, and the key that each becomes."""
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?!\d)", re.ASCII)
_BETWEEN = re.compile(r"\s*[,;]\s*")


def properties(pairs: Iterable[tuple[str, str]], names: dict[str, str] = NAMES) -> Metadata:
    """Metadata from (name, text) pairs as they stand in a file; the first text of a name counts, unknown names do not.

    Dates become "2024-05-31" (or what part of it there is), with the year as a number under `created_year`;
    keywords, from one text or from several, become a tuple; all texts are one line and short.
    """
    found: dict[str, Value | tuple[str, ...]] = {}
    keywords: list[str] = []
    for name, text in pairs:
        key, value = names.get(name), line_of(text)
        if key == "keywords":
            keywords += [word.strip("\"'") for word in _BETWEEN.split(value) if word]
        elif key in ("created", "modified"):
            if date := _DATE.match(value):
                found.setdefault(key, "-".join(part for part in date.groups() if part))
                found.setdefault(f"{key}_year", int(date.group(1)))
        elif key and value:
            found.setdefault(key, value)
    if keywords:
        found["keywords"] = tuple(dict.fromkeys(keywords))[:MOST_KEYWORDS]
    return found


def line_of(text: str) -> str:
    """A text as one short line that can be stored: no NUL, no half of a surrogate pair."""
    storable = text.replace("\0", "").encode("utf-8", "ignore").decode()
    return " ".join(storable.split())[:MOST_CHARACTERS]
