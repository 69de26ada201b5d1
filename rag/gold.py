"""What a question wants, found again in what came back: the rank of each thing wanted, and which citations are right.

Places are judged by place, documents by document, and where a question has accepted answers alone, a passage that
holds one of them word by word is what is wanted (as in Karpukhin et al. 2020, "Dense Passage Retrieval").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from decoder.errors import UsageError
from rag.metrics import contains_answer
from rag.question_fields import Span
from rag.questions import Question
from rag.types import Citation, Hit

if TYPE_CHECKING:
    from rag.manifest import DocumentEntry

ENOUGH_OVERLAP = 0.5
"""Share of the shorter of a wanted place and a passage that both must have in common."""
By = Literal["passages", "sources", "answers", ""]


@dataclass(frozen=True, slots=True)
class Gold:
    """What one question wants, with documents named as the index names them.

    Attributes:
        by: what is judged; empty when nothing is known.
        names: of each thing wanted, for people.
        grades: how much each is wanted.
        spans: places, when they are judged.
        sources: documents, when they are judged, or that hold the places.
        answers: accepted answers.
    """

    by: By
    names: tuple[str, ...] = ()
    grades: tuple[float, ...] = ()
    spans: tuple[Span, ...] = ()
    sources: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def gold(question: Question, resolve: Callable[[str], str]) -> Gold:
    """What is wanted: places before documents before answers. `resolve` gives the index's name of a document."""
    answers = question.answers
    if question.passages:
        spans = tuple(Span(resolve(s.source), s.start, s.end) for s in question.passages)
        names = tuple(f"{s.source}:{s.start}-{s.end}" for s in spans)
        return Gold("passages", names, (1.0,) * len(spans), spans, tuple(s.source for s in spans), answers)
    if question.relevant or question.sources:
        graded: dict[str, float] = {}
        for name, grade in (question.relevant or dict.fromkeys(question.sources, 1)).items():
            source = resolve(name)
            graded[source] = max(grade, graded.get(source, 0.0))
        return Gold("sources", tuple(graded), tuple(graded.values()), (), tuple(graded), answers)
    return Gold("answers", ("an answer",), (1.0,), answers=answers) if answers else Gold("")


def ranks(wanted: Gold, hits: Sequence[Hit]) -> tuple[int | None, ...]:
    """The rank of each thing wanted, from 1, None when it was not found.

    Places and answers are ranked among passages; documents among documents, each counted at its best passage.
    """
    if wanted.by == "passages":
        return tuple(_first(overlaps(span, hit) for hit in hits) for span in wanted.spans)
    if wanted.by == "sources":
        order = list(dict.fromkeys(hit.passage.source for hit in hits))
        return tuple(order.index(source) + 1 if source in order else None for source in wanted.sources)
    if wanted.by == "answers":
        return (_first(contains_answer(hit.passage.text, wanted.answers) for hit in hits),)
    return ()


def _first(matches: Iterable[bool]) -> int | None:
    return next((rank for rank, matched in enumerate(matches, start=1) if matched), None)


def overlaps(span: Span, hit: Hit) -> bool:
    """Whether a passage and a wanted place have enough in common."""
    passage = hit.passage
    return passage.source == span.source and _shared(span, passage.start, passage.end) >= ENOUGH_OVERLAP


def _shared(span: Span, start: int, end: int) -> float:
    common = min(span.end, end) - max(span.start, start)
    return common / max(1, min(span.end - span.start, end - start))


def is_right(wanted: Gold, citation: Citation) -> bool:
    """Whether a citation points to something wanted: into a place, a document, or words that hold an answer."""
    if wanted.by == "passages":
        return any(s.source == citation.source and _shared(s, citation.start, citation.end) > 0 for s in wanted.spans)
    if wanted.by == "sources":
        return citation.source in wanted.sources
    return contains_answer(citation.quote, wanted.answers)


class Documents:
    """Finds an index's documents by name: the whole name, or the end of a path from a folder on.

    Attributes:
        missing: names that no document has, in the order they were asked for.
    """

    def __init__(self, entries: Mapping[str, DocumentEntry]) -> None:
        self._owners = {source: entry.duplicate_of or source for source, entry in entries.items()}
        self._by_file: dict[str, list[str]] = {}
        for source in entries:
            self._by_file.setdefault(source.rpartition("/")[2], []).append(source)
        self.missing: dict[str, None] = {}

    def __call__(self, name: str) -> str:
        """The document's name in the index, `name` itself when there is none.

        A file that was left out because another has the same bytes stands for that one.

        Raises:
            UsageError: several documents could be meant.
        """
        if name in self._owners:
            return self._owners[name]
        tail = "/" + name.lstrip("/")
        alike = [source for source in self._by_file.get(name.rpartition("/")[2], ()) if source.endswith(tail)]
        found = sorted({self._owners[source] for source in alike})
        if len(found) > 1:
            cause = f"{name!r} could be {found[0]} or {found[1]}"
            raise UsageError("matching questions with documents", cause, "Write more of the path")
        if not found:
            self.missing[name] = None
        return found[0] if found else name
