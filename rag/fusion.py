"""One order from two: what dense and sparse search found, fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rag.types import Hit, Passage

if TYPE_CHECKING:
    from rag.store import Scored

DENSE_WEIGHT = 0.5


def fuse(dense: Sequence[Scored], sparse: Sequence[Scored], dense_weight: float = DENSE_WEIGHT) -> list[Hit]:
    """One order from two: a weighted sum of scores, each stretched to [0, 1] over its own list.

    A passage that one list lacks counts as that list's lowest. Source: convex combination, Bruch, Gai and Ingber
    2023, "An Analysis of Fusion Functions for Hybrid Retrieval"; the weight is measured by
    `benchmarks/retrieval.py`.
    """
    found: dict[str, Passage] = {passage.id: passage for passage, _ in (*dense, *sparse)}
    cosines = {passage.id: score for passage, score in dense}
    weights = {passage.id: score for passage, score in sparse}
    near, terms = _stretched(cosines), _stretched(weights)

    def score(key: str) -> float:
        return dense_weight * near.get(key, 0.0) + (1 - dense_weight) * terms.get(key, 0.0)

    hits = [Hit(passage, score(key), cosines.get(key), weights.get(key)) for key, passage in found.items()]
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))


def _stretched(scores: Mapping[str, float]) -> dict[str, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {key: (value - low) / (high - low) if high > low else 1.0 for key, value in scores.items()}
