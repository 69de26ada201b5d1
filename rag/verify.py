"""Whether an index holds what it says: every text, every passage, every vector, looked at one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rag.errors import StoreFailed
from rag.manifest import DocumentEntry

if TYPE_CHECKING:
    from rag.store import Point, Store

UNIT = 1e-2
"""How far the length of a stored vector may be from 1."""
TOGETHER = 64
"""Documents that are looked at at a time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which document; `source` is empty for the index as a whole."""

    source: str
    what: str


def verify(store: Store) -> list[Problem]:
    """Every problem of an index that can be opened; none means that it is whole.

    Raises:
        IndexNotFound: there is no index.
        StoreFailed: it cannot even be opened.
    """
    store.refresh()
    manifest = store.manifest()
    found = [Problem("", what) for what in store.check_files()]
    documents, seen = iter(manifest.documents.items()), 0
    while some := dict(islice(documents, TOGETHER)):
        points = list(store.points(list(some)))
        seen += len(points)
        counts = Counter(point.passage.source for point in points)
        texts = {source: _text(store, source) for source in some}
        for source, entry in some.items():
            found += (
                Problem(source, what) for what in _document(entry, counts[source], texts[source], manifest.documents)
            )
        for point in points:
            source = point.passage.source
            found += (Problem(source, what) for what in _point(point, some[source], texts[source], manifest.dimension))
    if store.count() != seen:
        found.append(Problem("", f"{store.count() - seen} passages belong to no document"))
    return list(dict.fromkeys(found))


def _document(entry: DocumentEntry, passages: int, text: str | None, documents: Container[str]) -> Iterator[str]:
    if passages != entry.passages:
        yield f"{passages} passages are there, not {entry.passages}"
    if text is None:
        yield "its text is damaged or missing"
    if entry.duplicate_of and entry.duplicate_of not in documents:
        yield f"{entry.duplicate_of}, which holds its passages, is missing"


def _point(point: Point, entry: DocumentEntry, text: str | None, dimension: int) -> Iterator[str]:
    passage = point.passage
    if text is not None and text[passage.start : passage.end] != passage.text:
        yield "a passage is not what stands in the text"
    if (passage.tenant, passage.readers) != (entry.tenant, entry.readers):
        yield "a passage has other readers than its document"
    if point.dense is None and not entry.pending:
        yield "a passage has no dense vector"
    if point.dense is not None and (
        point.dense.shape != (dimension,) or not abs(float(point.dense @ point.dense) - 1) < UNIT
    ):
        yield "a passage has a damaged vector"


def _text(store: Store, source: str) -> str | None:
    try:
        return store.text(source)
    except StoreFailed:
        return None
