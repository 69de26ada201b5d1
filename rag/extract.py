"""An answer without a decoder: the best one or two sentences, quoted with their citations."""

from __future__ import annotations

from collections.abc import Sequence

from prompts.grounded import REFUSAL
from rag.citations import citation
from rag.evidence import Evidence
from rag.support import Support
from rag.types import Answer, Hit

MOST_WORDS = 90
"""Two sentences together have at most this many words; else the best one stands alone."""
CLOSE = 6.0
"""How far below the best sentence's score the second may lie."""
SECONDS = 3
"""How many sentences are tried for the second place, in case the first is too long."""
NEIGHBOUR = 0.2
"""What standing next to the best sentence adds to another's score for the second place."""


def extract(support: Support, hits: Sequence[Hit]) -> Answer:
    """The best sentences verbatim, each with its marker, or the refusal when support is too low."""
    if not support.enough:
        return refusal(hits, support.confidence)
    chosen = _choose(support.evidence)
    citations = tuple(
        citation(number, item.hit.passage, item.quote.start, item.quote.end) for number, item in enumerate(chosen, 1)
    )
    text = "\n\n".join(f"{cited.quote} [{cited.marker}]" for cited in citations)
    return Answer(text, citations, support.confidence, tuple(hits))


def refusal(hits: Sequence[Hit], confidence: float) -> Answer:
    """Not in the documents; the nearest passages are kept for whoever wants to look."""
    return Answer(REFUSAL, confidence=confidence, passages=tuple(hits), refused=True)


def _choose(evidence: Sequence[Evidence]) -> list[Evidence]:
    best = evidence[0]
    room = MOST_WORDS - len(best.quote.text.split())
    for other in _seconds(evidence):
        if best.score - other.score > CLOSE:
            break
        if len(other.quote.text.split()) <= room and other.quote.text != best.quote.text:
            return [best, other]
    return [best]


def _seconds(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Sentences for the second place, best first; a neighbour of the best one wins what is nearly a tie."""
    best = evidence[0]

    def worth(item: Evidence) -> float:
        same = item.hit.passage.id == best.hit.passage.id
        return item.score + NEIGHBOUR * (same and abs(item.number - best.number) == 1)

    return sorted(evidence[1:], key=lambda item: -worth(item))[:SECONDS]
