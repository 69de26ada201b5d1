"""BM25 as sparse vectors: what a text weighs, term by term, before the inverse document frequency.

English stop words are dropped and the rest stemmed (Snowball). The store multiplies by the inverse document
frequency when it searches (Qdrant's `Modifier.Idf`), so vectors stay valid while the collection grows.
Source: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", with k1 and b as below and a fixed
average length, because a true one would change every stored vector whenever a document is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdrant_edge import Bm25

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 60.0  # terms: what a passage of 180 word pieces keeps once stop words are dropped
LINEAR = 1e6  # a k1 so large that a term's weight is its count


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Weights by term number. `indices` and `values` are equally long; both empty when no term is left."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@cache
def _model(k1: float, b: float) -> Bm25:
    from qdrant_edge import Bm25, Bm25Config

    return Bm25(Bm25Config(k=k1, b=b, avg_len=AVERAGE_LENGTH, language="english"))


def sparse_documents(texts: Sequence[str]) -> list[SparseVector]:
    """BM25 term weights of passages, one vector per text."""
    model = _model(K1, B)
    return [SparseVector(tuple(v.indices), tuple(v.values)) for v in map(model.embed_document, texts)]


def sparse_query(text: str) -> SparseVector:
    """Every term of a query weighted by how often it is asked for, which matters to questions of many sentences."""
    vector = _model(LINEAR, 0.0).embed_document(text)
    return SparseVector(tuple(vector.indices), tuple(round(value, 3) for value in vector.values))
