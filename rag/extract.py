"""An answer without a decoder: the best one or two sentences, quoted with their citations."""

from __future__ import annotations

from collections.abc import Sequence

from prompts.grounded import REFUSAL
from rag.citations import citation
from rag.support import Evidence, Support
from rag.types import Answer, Hit

MOST_WORDS = 80
"""Two sentences together have at most this many words; else the best one stands alone."""
CLOSE = 4.0
"""How far below the best sentence's score the second may lie."""


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
    for other in evidence[1:4]:
        if best.score - other.score > CLOSE:
            break
        if len(other.quote.text.split()) <= room and other.quote.text != best.quote.text:
            return [best, other]
    return [best]
