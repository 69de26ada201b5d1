"""What the knowledge base passes around: documents, passages, hits, citations, answers. Frozen data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool
Metadata: TypeAlias = Mapping[str, Value | tuple[str, ...]]
"""What is known of a document beside its text; keys as `rag.filters` allows them."""


def _place(source: str, page: int | None, first: int, last: int) -> str:
    if page is not None:
        return f"{source}, page {page}"
    return f"{source}, line {first}" if first == last else f"{source}, lines {first}-{last}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of a document's text with its place in the original.

    Attributes:
        start, end: character offsets into `Document.text`, end exclusive.
        page: page number from 1, for paged formats.
    """

    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One loaded file as text (Markdown where the format has structure).

    Attributes:
        source: its path as given by the user, posix style; identifies it within an index.
        text: the extracted text. Offsets and line numbers everywhere refer to it.
        content_hash: sha256 of the file's bytes, hex.
        media_type: such as "application/pdf".
        title: from the document itself, else the file's name.
        segments: pages, in order, covering the text; empty for unpaged formats.
        metadata: what the file says of itself, such as author or date; what the user says joins it later.
    """

    source: str
    text: str
    content_hash: str
    media_type: str
    title: str = ""
    segments: tuple[Segment, ...] = ()
    metadata: Metadata = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document: what is embedded, found and cited.

    Attributes:
        id: a UUID (version 5) of source, content hash and offsets.
        text: exactly `Document.text[start:end]`.
        source, title: of the document.
        start, end: character offsets into the document's text, end exclusive.
        line_start, line_end: lines of the document's text, from 1, inclusive.
        page: page number from 1 for paged formats (where the passage starts), else None.
        heading: path of the headings above it, outermost first.
        content_hash: of the document.
        context: what stands above it and must be read with it, such as the header row of a table that was cut.
        parent_start, parent_end: offsets of the wider stretch that it was cut from (small-to-big); equal when none.
        media_type: of the document.
        tenant: whose document it is; empty where there are no tenants.
        readers: who may see it, as "user:ann" or "group:staff"; empty means everybody of the tenant.
        metadata: of the document, to filter by.
    """

    id: str
    text: str
    source: str
    title: str
    start: int
    end: int
    line_start: int
    line_end: int
    page: int | None = None
    heading: tuple[str, ...] = ()
    content_hash: str = ""
    context: str = ""
    parent_start: int = 0
    parent_end: int = 0
    media_type: str = ""
    tenant: str = ""
    readers: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict, hash=False)

    @property
    def location(self) -> str:
        """For people: "manual.pdf, page 3" or "notes.md, lines 10-14"."""
        return _place(self.source, self.page, self.line_start, self.line_end)


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        score: what hits are ordered by, higher is better; its scale depends on the fusion.
        dense: cosine similarity in [-1, 1], None when dense search did not return it.
        sparse: BM25 score, None when sparse search did not return it.
    """

    passage: Passage
    score: float
    dense: float | None = None
    sparse: float | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A claim's support, checked against the text: `quote` stands in the document at [start, end).

    Attributes:
        marker: the number in square brackets that the answer uses, from 1.
        quote: the supporting words, verbatim.
        start, end: character offsets into the document's text.
        line_start, line_end: lines of the quote in the document's text.
    """

    marker: int
    quote: str
    source: str
    title: str
    start: int
    end: int
    line_start: int
    line_end: int
    page: int | None = None
    passage_id: str = ""

    @property
    def location(self) -> str:
        """For people: "manual.pdf, page 3" or "notes.md, lines 10-14"."""
        return _place(self.source, self.page, self.line_start, self.line_end)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its evidence.

    Attributes:
        text: the answer, with citation markers such as [1]; a refusal when `refused`.
        citations: checked citations in order of marker; empty when refused.
        confidence: in [0, 1].
        passages: the hits that the answer was made from, best first.
        refused: the documents do not support an answer.
        timings: seconds per step: retrieve, answer, total.
        generated: a decoder wrote the text (False: it was quoted from the documents).
    """

    text: str
    citations: tuple[Citation, ...] = ()
    confidence: float = 0.0
    passages: tuple[Hit, ...] = ()
    refused: bool = False
    timings: Mapping[str, float] = field(default_factory=dict)
    generated: bool = False


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """New text of an answer that is being written; not yet checked."""

    text: str


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing run did.

    Attributes:
        failed: maps source to the one-line reason.
        unsupported: files in the folders that no loader reads; they are left out.
        ignored: files and folders that ignore rules left out.
        searchable_seconds: until the first of it could be found by its words; 0 when vectors came with them.
    """

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    duplicates: tuple[str, ...] = ()
    passages: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    unsupported: int = 0
    seconds: float = 0.0
    searchable_seconds: float = 0.0
    ignored: int = 0
