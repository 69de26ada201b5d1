"""Inverse document frequencies of an index: how many living passages hold each term.

Kept for the whole index and not by shard, so that scores of different shards can be compared, and exact: what is
deleted is subtracted. Source of the weight: Robertson and Sparck Jones 1976 in Lucene's never-negative form,
log(1 + (N - n + 0.5) / (n + 0.5)), which Qdrant's `Modifier.Idf` computes too.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import StoreFailed
from rag.sparse import SparseVector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TermTable:
    """The counts of a sealed generation, in two sorted columns; safe to share between threads."""

    def __init__(self, table: NDArray[np.uint32]) -> None:
        self._table = table

    def weighted(self, query: SparseVector, passages: int) -> SparseVector:
        """`query` with each weight multiplied by its term's inverse document frequency among `passages`."""
        import numpy as np

        terms = np.asarray(query.indices, dtype=np.uint32)
        at = np.searchsorted(self._table[0], terms)
        values = []
        for term, place, value in zip(terms.tolist(), at.tolist(), query.values, strict=True):
            known = place < self._table.shape[1] and int(self._table[0, place]) == term
            count = int(self._table[1, place]) if known else 0
            values.append(value * math.log(1 + (passages - count + 0.5) / (count + 0.5)))
        return SparseVector(query.indices, tuple(values))

    def counter(self) -> Counter[int]:
        """The counts by term, to be changed."""
        return Counter(dict(zip(self._table[0].tolist(), self._table[1].tolist(), strict=True)))


def empty() -> TermTable:
    """Of an index without passages."""
    import numpy as np

    return TermTable(np.empty((2, 0), dtype=np.uint32))


def save(path: Path, counts: Counter[int]) -> None:
    """Write the counts above zero as a NumPy array of shape [2, terms], sorted by term."""
    import numpy as np

    living = sorted((term, count) for term, count in counts.items() if count > 0)
    np.save(path, np.asarray(living, dtype=np.uint32).reshape(-1, 2).T, allow_pickle=False)


def load(path: Path) -> TermTable:
    """The counts in a file; raises StoreFailed when it does not hold them."""
    import numpy as np

    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        cause = f"the term counts cannot be read: {str(error)[:100]}"
        raise StoreFailed("opening the knowledge base", cause, "Run `hearth kb repair`") from error
    is_sorted = table.ndim == 2 and table.shape[0] == 2 and bool((table[0, 1:] > table[0, :-1]).all())
    if table.dtype != np.uint32 or not is_sorted:
        raise StoreFailed("opening the knowledge base", "the term counts are damaged", "Run `hearth kb repair`")
    return TermTable(table)
