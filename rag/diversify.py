"""Maximal marginal relevance: of what fits the query, what the hits before it have not said already.

Source: Carbonell and Goldstein 1998, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries": next comes the hit with the highest trade_off * relevance - (1 - trade_off) * similarity to
the most similar one already chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rag.types import Hit
from rag.words import content_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Similarity = Callable[[int, int], float]
"""How alike the hits at two positions are, in [0, 1]."""


def diversify(hits: Sequence[Hit], similarity: Similarity, trade_off: float, limit: int | None = None) -> list[Hit]:
    """The hits in their new order, at most `limit`; scores stay as they are.

    Args:
        trade_off: lambda in [0, 1]; 1 keeps the order, 0 asks for difference alone after the first.

    Raises:
        ValueError: `trade_off` is outside [0, 1].
    """
    if not 0 <= trade_off <= 1:
        raise ValueError(f"trade_off={trade_off} is outside [0, 1]")
    relevance = _stretched([hit.score for hit in hits])
    nearest = [0.0] * len(hits)
    left = list(range(len(hits)))
    chosen: list[Hit] = []
    while left and (limit is None or len(chosen) < limit):
        best = max(left, key=lambda i: (trade_off * relevance[i] - (1 - trade_off) * nearest[i], -i))
        left.remove(best)
        chosen.append(hits[best])
        for other in left:
            nearest[other] = max(nearest[other], similarity(best, other))
    return chosen


def by_words(hits: Sequence[Hit]) -> Similarity:
    """Similarity as the share of content words that two passages have in common (Jaccard)."""
    words = [frozenset(content_words(hit.passage.text)) for hit in hits]

    def similarity(one: int, other: int) -> float:
        union = len(words[one] | words[other])
        return len(words[one] & words[other]) / union if union else 0.0

    return similarity


def by_vectors(vectors: NDArray[np.float32]) -> Similarity:
    """Similarity as the cosine of unit vectors, shape [hits, dimension], none below 0."""
    cosines = vectors @ vectors.T
    return lambda one, other: min(1.0, max(0.0, float(cosines[one, other])))


def _stretched(scores: Sequence[float]) -> list[float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]
