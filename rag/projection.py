"""Passages as points on a map: their vectors in the two directions in which they differ most.

Principal component analysis (Pearson 1901), by the singular value decomposition of the centred vectors. What is near
on the map need not be near in full: `kept` says how much of the variance the map shows.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.store import Point, Store
    from rag.types import Passage

MOST = 2000
"""Passages on a map."""
LOOKED_AT = 20_000
"""Passages that a sample is drawn from; of a larger index, those of some documents."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A map.

    Attributes:
        passages, xy: what is shown and where; `xy` has shape [len(passages), 2].
        kept: share of the variance that the two directions hold, in [0, 1].
        total: passages in the index.
    """

    passages: tuple[Passage, ...]
    xy: NDArray[np.float64]
    kept: float
    total: int


def project(store: Store, most: int = MOST, looked_at: int = LOOKED_AT) -> Projection:
    """The map of an index, the same for each look at a generation. Passages without dense vectors are not on it.

    Args:
        most: passages on the map; a sample where there are more.

    Raises:
        IndexNotFound, StoreFailed: it cannot be read.
    """
    import numpy as np

    store.refresh()
    manifest = store.manifest()
    points = _sample(store, most, looked_at)
    passages = tuple(point.passage for point in points)
    vectors = np.array([point.dense for point in points], dtype=np.float64).reshape(len(points), -1)
    xy, kept = principal_components(vectors)
    return Projection(passages, xy, kept, manifest.passages)


def principal_components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The first two principal components of `vectors` [n, d] as [n, 2], and the share of the variance in them."""
    import numpy as np

    found = np.zeros((len(vectors), 2))
    if len(vectors) < 2:
        return found, 1.0
    centred = vectors - vectors.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    variance = float((singular**2).sum())
    if variance < 1e-12:
        return found, 1.0
    axes = min(2, len(singular))
    signs = np.sign(left[np.abs(left[:, :axes]).argmax(axis=0), np.arange(axes)])  # else a sign is the solver's whim
    found[:, :axes] = left[:, :axes] * singular[:axes] * signs
    return found, float((singular[:axes] ** 2).sum()) / variance


def _sample(store: Store, most: int, looked_at: int) -> list[Point]:
    """At most so many passages with vectors, by a hash of their ids: any of them is as likely as any other."""
    chosen: list[tuple[int, str, Point]] = []
    for point in store.points(_documents(store, looked_at)):
        if point.dense is None:
            continue
        entry = (-_draw(point.passage.id), point.passage.id, point)
        if len(chosen) < most:
            heapq.heappush(chosen, entry)
        else:
            heapq.heappushpop(chosen, entry)
    points = [point for *_, point in chosen]
    return sorted(points, key=lambda point: (point.passage.source, point.passage.start, point.passage.id))


def _documents(store: Store, looked_at: int) -> list[str] | None:
    """Documents, drawn alike, of about so many passages together; None for all."""
    manifest = store.manifest()
    if manifest.passages <= looked_at:
        return None
    chosen, room = [], looked_at
    for source in sorted(manifest.documents, key=_draw):
        if room <= 0:
            break
        chosen.append(source)
        room -= manifest.documents[source].passages
    return chosen


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
