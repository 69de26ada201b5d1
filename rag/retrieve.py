"""Find passages: dense and sparse search side by side, fused into one order, and what may follow, step by step.

    search_both -> fuse (for each query) -> fuse_queries -> by_sentences or rerank -> diversify -> merge

Each step is a function that can be used alone. What may be seen is a filter inside both searches, never a sieve
after them. `rag.explain` tells what each step did to a hit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from decoder.errors import UsageError
from rag.diversify import by_vectors, by_words, diversify
from rag.filters import Where
from rag.fusion import METHOD, Method, fuse
from rag.parents import Parents, merge
from rag.rerank import Reranker, rerank
from rag.sparse import sparse_query
from rag.support import Support, assess, best_first
from rag.types import Hit

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.store import Scored, Store

POOL = 100
RERANKED = 30
RECIPROCAL_K = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
STEP = "searching"


@dataclass(frozen=True, slots=True)
class Search:
    """How to search. The defaults are what `benchmarks/retrieval.py` measures.

    Attributes:
        limit: passages that come back.
        pool: how many dense and sparse search each contribute; raised to `limit` when smaller.
        where: what may be found, in both searches.
        fusion: how the two lists become one: by score, or by rank alone.
        by_sentences: the best passages are ordered by their best sentences too, which are embedded for it; it finds
            the one passage that answers a question more often, and takes most of a search's time. Off with a reranker.
        reranker: reads the best `reranked` passages again with the query; None for none.
        diversity: lambda of maximal marginal relevance in [0, 1], 1 keeping the order; None leaves it out.
        diversity_by: passages are alike by their words, or by their vectors, which are made anew.
        parents: when hits are merged into the stretch around them; None for never.
        rewrite: queries that a decoder writes beside the question, where there is a decoder.

    Raises:
        UsageError: a number is out of its range.
    """

    limit: int = 8
    pool: int = POOL
    where: Where | None = None
    fusion: Method = METHOD
    by_sentences: bool = True
    reranker: Reranker | None = None
    reranked: int = RERANKED
    diversity: float | None = None
    diversity_by: Literal["words", "vectors"] = "words"
    parents: Parents | None = None
    rewrite: int = 0

    def __post_init__(self) -> None:
        if self.limit < 1 or self.pool < 1 or self.reranked < 1 or not 0 <= self.rewrite <= 10:
            raise UsageError(STEP, "limit, pool or reranked is below 1, or rewrite not in 0 to 10", "Correct it")
        if self.diversity is not None and not 0 <= self.diversity <= 1:
            raise UsageError(STEP, f"diversity={self.diversity} is outside [0, 1]", "Choose a value inside")


@dataclass(frozen=True, slots=True)
class Found:
    """What one query found: both lists best first, and their fusion."""

    query: str
    dense: tuple[Scored, ...]
    sparse: tuple[Scored, ...]
    fused: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """A search with what every step of it gave; a step that was left out gave nothing (None).

    Attributes:
        fused: over all queries.
        ordered: the fused hits in the order that their sentences give them.
        support: how well the hits support an answer, where that was weighed for exactly these hits.
        hits: what the search returns.
    """

    search: Search
    found: tuple[Found, ...]
    fused: tuple[Hit, ...]
    ordered: tuple[Hit, ...] | None = None
    support: Support | None = None
    reranked: tuple[Hit, ...] | None = None
    diversified: tuple[Hit, ...] | None = None
    merged: tuple[Hit, ...] | None = None
    hits: tuple[Hit, ...] = field(default=())


def retrieve(query: str | Sequence[str], store: Store, embedder: Embedder, search: Search | None = None) -> list[Hit]:
    """The passages that fit `query` best, best first.

    Args:
        query: one, or several ways to say it, the question itself first.

    Raises:
        UsageError: the query is empty.
        IndexNotFound, IndexMismatch: there is no index, or another model made it.
        RerankerError: from the reranker.
    """
    return list(retrieve_steps(query, store, embedder, search).hits)


def retrieve_steps(query: str | Sequence[str], store: Store, embedder: Embedder, search: Search | None = None) -> Steps:
    """As `retrieve`, with what every step gave."""
    search = search or Search()
    queries = (query,) if isinstance(query, str) else tuple(query)
    if not queries or not all(each.strip() for each in queries):
        raise UsageError(STEP, "the query is empty", "Ask something")
    store.refresh()
    store.manifest().check(embedder)
    found = tuple(search_both(each, store, embedder, search) for each in queries)
    steps = Steps(search, found, tuple(fuse_queries([one.fused for one in found])))
    hits = list(steps.fused)
    if search.reranker is None and search.by_sentences:
        support = assess(queries[0], hits, embedder)
        hits = best_first(hits, support)
        alone = search.diversity is None and search.parents is None
        steps = replace(steps, ordered=tuple(hits), support=support if alone else None)
    if search.reranker is not None:
        read = rerank(queries[0], hits[: max(search.reranked, search.limit)], search.reranker)
        hits = read
        steps = replace(steps, reranked=tuple(read))
    if search.diversity is not None:
        hits = _diversified(hits, embedder, search)
        steps = replace(steps, diversified=tuple(hits))
    if search.parents is not None:
        hits = merge(hits, store.text, search.parents, search.limit)
        steps = replace(steps, merged=tuple(hits))
    return replace(steps, hits=tuple(hits[: search.limit]))


def search_both(query: str, store: Store, embedder: Embedder, search: Search) -> Found:
    """Dense and sparse search for one query within `search.where`, and their fusion."""
    pool = max(search.pool, search.limit)
    dense = store.search_dense(embedder.embed_query(query), pool, search.where)
    sparse = store.search_sparse(sparse_query(query), pool, search.where)
    return Found(query, tuple(dense), tuple(sparse), tuple(fuse(dense, sparse, method=search.fusion)))


def fuse_queries(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """One order over the hits of several queries, by reciprocal ranks; of one query, its own.

    Cosine and BM25 score stay those of the first query, which is the question; None where only another found it.
    """
    if len(lists) == 1:
        return list(lists[0])
    scores: dict[str, float] = {}
    known: dict[str, Hit] = {}
    for number, hits in enumerate(lists):
        for rank, hit in enumerate(hits, 1):
            key = hit.passage.id
            scores[key] = scores.get(key, 0.0) + 1 / (RECIPROCAL_K + rank)
            known.setdefault(key, hit if number == 0 else replace(hit, dense=None, sparse=None))
    hits = [replace(hit, score=scores[key]) for key, hit in known.items()]
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))


def _diversified(hits: Sequence[Hit], embedder: Embedder, search: Search) -> list[Hit]:
    pool = hits[: search.limit * 4]
    if search.diversity_by == "vectors" and pool:
        similarity = by_vectors(embedder.embed([hit.passage.text for hit in pool]))
    else:
        similarity = by_words(pool)
    return diversify(pool, similarity, search.diversity if search.diversity is not None else 1.0)
