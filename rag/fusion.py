"""One order from two: what dense and sparse search found, fused by score or by rank.

By score is the default for every collection; `benchmarks/retrieval.py` measures both on three collections, and
`benchmarks/answers.py` on questions to articles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from rag.types import Hit, Passage

if TYPE_CHECKING:
    from rag.store import Scored

Method: TypeAlias = Literal["score", "rank"]

METHOD: Method = "score"
"""How lists are fused unless said otherwise."""
DENSE_WEIGHT = 0.5
"""What the dense list counts for, of 1; the sparse list has the rest."""
RANK_CONSTANT = 60
"""Reciprocal ranks: the larger, the less the first few places stand out. 60 is the value of the paper."""


def fuse(
    dense: Sequence[Scored], sparse: Sequence[Scored], dense_weight: float = DENSE_WEIGHT, method: Method = METHOD
) -> list[Hit]:
    """One order from two lists, best first; scores lie in [0, 1], and 1 is the best of both lists.

    "score": the weighted sum of each list's scores as a share of its best one, so that 0 keeps its meaning: no
    term in common, or nothing to do with each other. A passage that one list lacks has 0 there. Source: convex
    combination with theoretical minimum, Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid
    Retrieval"; the minimum of a cosine is taken as 0, since the model's cosines hardly fall below.

    "rank": the weighted sum of reciprocal ranks, 1 / (60 + rank), as a share of the most it can be. Source: Cormack,
    Clarke and Büttcher 2009. It looks at no score, so it suits engines whose scores cannot be compared.
    """
    found: dict[str, Passage] = {passage.id: passage for passage, _ in (*dense, *sparse)}
    cosines = {passage.id: score for passage, score in dense}
    weights = {passage.id: score for passage, score in sparse}
    scaled = _shares if method == "score" else _reciprocal_ranks
    near, terms = scaled(cosines), scaled(weights)

    def score(key: str) -> float:
        return dense_weight * near.get(key, 0.0) + (1 - dense_weight) * terms.get(key, 0.0)

    hits = [Hit(passage, score(key), cosines.get(key), weights.get(key)) for key, passage in found.items()]
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))


def _shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Each score as a share of the best one; what is not above 0 has no share."""
    best = max(scores.values(), default=0.0)
    return {key: max(value, 0.0) / best if best > 0 else 0.0 for key, value in scores.items()}


def _reciprocal_ranks(scores: Mapping[str, float]) -> dict[str, float]:
    """The best has 1; equal scores are in order of id, so that every run answers alike."""
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return {key: (RANK_CONSTANT + 1) / (RANK_CONSTANT + rank) for rank, key in enumerate(order, 1)}
