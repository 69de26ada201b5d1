"""Find passages: dense and sparse search side by side, fused into one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from decoder.errors import UsageError
from rag.filters import Where
from rag.fusion import fuse
from rag.sparse import sparse_query
from rag.types import Hit

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.store import Store

POOL = 50


def retrieve(
    query: str,
    store: Store,
    embedder: Embedder,
    limit: int = 8,
    sources: Sequence[str] | None = None,
    pool: int = POOL,
) -> list[Hit]:
    """The passages that fit `query` best, at most `limit`, best first.

    Args:
        sources: search these documents only.
        pool: how many dense and sparse search each contribute; raised to `limit` when smaller.

    Raises:
        UsageError: the query is empty.
        IndexNotFound, IndexMismatch: there is no index, or another model made it.
    """
    if not query.strip():
        raise UsageError("searching", "the query is empty", "Ask something")
    store.refresh()
    store.manifest().check(embedder)
    if sources is not None and not sources:
        return []
    pool, where = max(pool, limit), Where().and_sources(sources)
    dense = store.search_dense(embedder.embed_query(query), pool, where)
    sparse = store.search_sparse(sparse_query(query), pool, where)
    return fuse(dense, sparse)[:limit]
