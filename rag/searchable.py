"""What of a passage is embedded and weighed: its text under what stands above it."""

from __future__ import annotations

from rag.types import Passage

HEADING_CHARACTERS = 200


def searchable(passage: Passage) -> str:
    """The passage under its document's title, its headings (both cut short) and what it must be read with."""
    above = " > ".join(dict.fromkeys(part for part in (passage.title, *passage.heading) if part))
    parts = (above[:HEADING_CHARACTERS], passage.context, passage.text)
    return "\n".join(part for part in parts if part)
