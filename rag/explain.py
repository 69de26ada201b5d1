"""Why a hit is where it is: what each step of a search gave it, as data for people and for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.fusion import Method, fuse
from rag.retrieve import Found, Steps
from rag.types import Hit, Passage
from rag.words import content_words, tokens


@dataclass(frozen=True, slots=True)
class QueryReason:
    """What one query says of a hit. Ranks begin at 1; None where that search did not find it.

    Attributes:
        cosine, bm25: of dense and of sparse search.
        parts: what each of the two adds to the fused score.
        fused_rank: among what this query found.
        words: words of the query that the passage, its title, headings or context hold, as the query writes them.
        missing: the other words of the query that say something.
    """

    query: str
    cosine: float | None
    dense_rank: int | None
    bm25: float | None
    sparse_rank: int | None
    parts: Mapping[str, float]
    fused_rank: int | None
    words: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a hit stands where it does.

    Attributes:
        rank: in the result, from 1.
        queries: what each query says of it.
        fused_rank, fused_score: over all queries.
        reranked_rank, reranker_score: None without a reranker.
        diversified_rank: after maximal marginal relevance; None without.
        merged: places of the found passages that this stretch took in; empty when it is a passage as it was found.
        ordered_rank: in the order that the best sentences give; None without it.
    """

    hit: Hit
    rank: int
    queries: tuple[QueryReason, ...]
    fused_rank: int | None
    fused_score: float | None
    reranked_rank: int | None = None
    reranker_score: float | None = None
    diversified_rank: int | None = None
    merged: tuple[str, ...] = ()
    ordered_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A search explained.

    Attributes:
        filters: what was asked to be found only, as texts; empty for everything.
        reranker: its name, empty without one.
        hits: best first, each with its reasons.
    """

    queries: tuple[str, ...]
    filters: tuple[str, ...]
    reranker: str
    diversity: float | None
    hits: tuple[Reason, ...]


def explain(steps: Steps) -> Explanation:
    """What `rag.retrieve.retrieve_steps` did, hit by hit."""
    search = steps.search
    return Explanation(
        tuple(found.query for found in steps.found),
        _filters(steps),
        search.reranker.name if search.reranker is not None else "",
        search.diversity,
        tuple(_reason(hit, rank, steps) for rank, hit in enumerate(steps.hits, 1)),
    )


def _reason(hit: Hit, rank: int, steps: Steps) -> Reason:
    key = hit.passage.id
    fused, reranked = _place(key, steps.fused), _place(key, steps.reranked or ())
    return Reason(
        hit,
        rank,
        tuple(_said(found, key, _original(key, steps), steps.search.fusion) for found in steps.found),
        fused,
        steps.fused[fused - 1].score if fused else None,
        reranked,
        steps.reranked[reranked - 1].score if steps.reranked and reranked else None,
        _place(key, steps.diversified or ()),
        _parts(hit.passage, steps),
        _place(key, steps.ordered or ()),
    )


def _said(found: Found, key: str, passage: Passage, method: Method) -> QueryReason:
    """What one query's searches say. The fusion adds up two parts, so each is what it gives without the other."""
    dense = {scored[0].id: (rank, scored[1]) for rank, scored in enumerate(found.dense, 1)}
    sparse = {scored[0].id: (rank, scored[1]) for rank, scored in enumerate(found.sparse, 1)}
    parts = {
        "dense": next((hit.score for hit in fuse(found.dense, (), method=method) if hit.passage.id == key), 0.0),
        "sparse": next((hit.score for hit in fuse((), found.sparse, method=method) if hit.passage.id == key), 0.0),
    }
    there = set(content_words(" ".join((passage.title, *passage.heading, passage.context, passage.text))))
    asked = dict.fromkeys(token for token in tokens(found.query) if content_words(token))
    words = tuple(token for token in asked if set(content_words(token)) <= there)
    return QueryReason(
        found.query,
        cosine=dense[key][1] if key in dense else None,
        dense_rank=dense[key][0] if key in dense else None,
        bm25=sparse[key][1] if key in sparse else None,
        sparse_rank=sparse[key][0] if key in sparse else None,
        parts=parts,
        fused_rank=_place(key, found.fused),
        words=words,
        missing=tuple(token for token in asked if token not in words),
    )


def _place(key: str, hits: Sequence[Hit]) -> int | None:
    return next((rank for rank, hit in enumerate(hits, 1) if hit.passage.id == key), None)


def _original(key: str, steps: Steps) -> Passage:
    """The passage as it was found, before a parent took its place."""
    return next(hit.passage for hit in steps.fused if hit.passage.id == key)


def _parts(passage: Passage, steps: Steps) -> tuple[str, ...]:
    if passage == _original(passage.id, steps):
        return ()
    before = steps.diversified or steps.reranked or steps.fused
    inside = [
        hit.passage
        for hit in before
        if hit.passage.source == passage.source
        and passage.start <= hit.passage.start
        and hit.passage.end <= passage.end
    ]
    return tuple(part.location for part in inside)


def _filters(steps: Steps) -> tuple[str, ...]:
    where = steps.search.where
    if where is None:
        return ()
    texts: list[str] = []
    for condition in where.conditions:
        field = condition.field
        texts += [f"{field}={'|'.join(map(str, condition.any_of))}"] if condition.any_of else []
        texts += [f"{field}!={'|'.join(map(str, condition.none_of))}"] if condition.none_of else []
        texts += [f"{field}>={condition.at_least:g}"] if condition.at_least is not None else []
        texts += [f"{field}<={condition.at_most:g}"] if condition.at_most is not None else []
    if where.access is not None:
        texts.append(f"tenant {where.access.tenant or '(none)'}, as {', '.join(where.access.principals) or '(nobody)'}")
    return tuple(texts)
