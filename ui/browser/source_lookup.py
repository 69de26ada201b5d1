"""Where a citation stands now: its document in the knowledge base, its lines, its file. Imports no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.settings import home
from rag.types import Answer, Citation

if TYPE_CHECKING:
    from rag.knowledge import KnowledgeBase
    from rag.page_picture import Quoted

BEFORE = 200


@dataclass(frozen=True, slots=True)
class Source:
    """What one chip opens: the citations of one number in one document.

    Attributes:
        marker: the number.
        citations: at least one; all of one document and page.
        content_hash: of the document as the answer was made from it; empty where that is not known.
    """

    marker: int
    citations: tuple[Citation, ...]
    content_hash: str = ""

    @property
    def first(self) -> Citation:
        """Where it begins."""
        return self.citations[0]


@dataclass(frozen=True, slots=True)
class Found:
    """The document of a source as it is known now.

    Attributes:
        text: what was extracted from it.
        places: offsets of the quotes that still stand in it, start and end.
        hash: of the file as it was indexed last.
        changed: it was indexed again, with other content, since the answer was made.
        file: where it was read from; none for pages from the web and members of archives.
        is_pdf: its pages can be shown.
    """

    text: str
    places: tuple[tuple[int, int], ...]
    hash: str
    changed: bool
    file: Path | None = None
    is_pdf: bool = False

    @property
    def lines(self) -> frozenset[int]:
        """The numbers of the cited lines, from 1."""
        counted = [
            (self.text.count("\n", 0, start) + 1, self.text.count("\n", 0, end) + 1) for start, end in self.places
        ]
        return frozenset(number for first, last in counted for number in range(first, last + 1))


def sources_of(answer: Answer) -> list[Source]:
    """The answer's citations, those of one number, document and page together, in order of their numbers."""
    hashes = {hit.passage.id: hit.passage.content_hash for hit in answer.passages}
    together: dict[tuple[int, str, int | None], list[Citation]] = {}
    for citation in answer.citations:
        together.setdefault((citation.marker, citation.source, citation.page), []).append(citation)
    return [
        Source(marker, tuple(citations), hashes.get(citations[0].passage_id, ""))
        for (marker, _, _), citations in together.items()
    ]


def nearest_of(answer: Answer) -> list[Source]:
    """Each passage that was found, as a source of its own, in their order."""
    from rag.citations import citation

    return [
        Source(number, (citation(number, hit.passage, 0, len(hit.passage.text)),), hit.passage.content_hash)
        for number, hit in enumerate(answer.passages, 1)
    ]


def look_up(base: KnowledgeBase, source: Source) -> Found | None:
    """The document now; None where the knowledge base has it no longer. Raises StoreFailed and its kin."""
    entry = base.documents().get(source.first.source)
    if entry is None:
        return None
    text = base.store.text(source.first.source)
    changed = bool(source.content_hash) and source.content_hash != entry.hash
    places = [_place(text, citation, changed) for citation in source.citations]
    there = tuple(place for place in places if place is not None)
    is_file = not (entry.member_of or entry.validators or "://" in entry.path)
    file = Path(entry.path) if is_file else None
    is_pdf = is_file and source.first.page is not None and entry.media_type == "application/pdf"
    return Found(text, there, entry.hash, changed, file, is_pdf)


def quoted(found: Found | None, source: Source) -> list[Quoted]:
    """The quotes with what stands before each, for `rag.page_picture.draw_page`."""
    from rag.page_picture import Quoted

    texts = [] if found is None else [(found.text[a:b], found.text[max(0, a - BEFORE) : a]) for a, b in found.places]
    return [Quoted(words, before) for words, before in texts] or [Quoted(c.quote) for c in source.citations]


def uploaded(file: Path | None, kb_name: str) -> bool:
    """Whether a file was uploaded here for this knowledge base (`knowledge_uploads.keep`), links followed."""
    if file is None or not kb_name or not file.is_file():
        return False
    return file.resolve().is_relative_to((home() / "uploads" / kb_name).resolve())


def _place(text: str, citation: Citation, changed: bool) -> tuple[int, int] | None:
    """Where the quote stands; in another version of the document wherever it stands first."""
    if not changed and text[citation.start : citation.end] == citation.quote:
        return citation.start, citation.end
    at = text.find(citation.quote) if citation.quote else -1
    return (at, at + len(citation.quote)) if at >= 0 else None


def pages_of(citations: Sequence[Citation]) -> set[int]:
    """The pages that are cited."""
    return {citation.page for citation in citations if citation.page is not None}
