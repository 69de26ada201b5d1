"""What documents are called on a page: our own upload paths as the names that people gave, long ones shortened."""

from __future__ import annotations

from dataclasses import replace

from rag.types import Citation, Passage
from ui.browser.knowledge_uploads import shown_name

MOST = 60


def name_of(source: str) -> str:
    """A document's name for people; text that nobody vouches for."""
    return shown_name(source)


def shortened(text: str, most: int = MOST) -> str:
    """The text, without its middle where it is longer than `most`: the end of a path says most."""
    if len(text) <= most:
        return text
    return f"{text[: most // 3]}…{text[-(most - most // 3 - 1) :]}"


def location_of(place: Citation | Passage) -> str:
    """As in "manual.pdf, page 3" or "notes.md, lines 10-14"; text that nobody vouches for."""
    return replace(place, source=shortened(name_of(place.source))).location
