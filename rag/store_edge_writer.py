"""Writing an in-process index: new passages go into a new shard, old shards are told what does not count any more.

`commit` seals the shard, merges small ones, writes a generation that names them and switches to it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import HearthError
from rag import generations as disk
from rag import terms, texts
from rag.errors import StoreFailed
from rag.manifest import Manifest, ShardEntry, next_generation
from rag.settings import GraphOptions
from rag.sparse import SparseVector
from rag.store import Writer, engine_errors, text_hash, to_payload
from rag.store_edge_filter import from_sources
from rag.store_edge_merge import merge, need_room, to_merge
from rag.store_edge_shard import BATCH, OpenShard, create, seal, terms_of
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge
    from numpy.typing import NDArray

WRITE = "writing the index"
POINT_BYTES = 6 << 10
"""About what a passage takes on the disk beside its vector."""


class EdgeWriter(Writer):
    """Generations of the index in folder `index`; `lock` is the descriptor of the write lock, let go at the end.

    Args:
        committed: called after each switch, so that the store's own reader moves on and the old generation can go.
        opened: the shards that the store has open, by name.
        shards: what to start from in place of the current manifest's shards, for repairs.
    """

    def __init__(
        self,
        index: Path,
        lock: int,
        dimension: int,
        fresh: bool,
        graph: GraphOptions,
        committed: Callable[[], object],
        opened: Callable[[], Mapping[str, OpenShard]] = dict,
        shards: Sequence[ShardEntry] | None = None,
    ) -> None:
        self._index, self._lock, self._dimension, self._graph = index, lock, dimension, graph
        self._committed, self._opened = committed, opened
        current = None if fresh or shards is not None else disk.read_manifest(index)
        if current is not None:  # what an interrupted writer left
            disk.clean(index, current)
        self._entries = tuple(shards or ()) if current is None else current.shards
        self._own: dict[str, OpenShard] = {}
        self._counts: Counter[int] | None = Counter() if current is None and not shards else None
        self._generation = current.generation if current is not None else ""
        self._begin()
        self._texts = texts.connect(index)

    def _begin(self) -> None:
        self._gone: set[str] = set()
        self._new: qdrant_edge.EdgeShard | None = None
        self._new_name = ""
        self._new_terms: Counter[int] = Counter()
        self._new_sources: set[str] = set()
        self._written = 0
        self._dropped_texts = False

    def upsert(
        self, passages: Sequence[Passage], dense: NDArray[np.float32] | None, sparse: Sequence[SparseVector]
    ) -> None:
        """Add or replace passages."""
        from qdrant_edge import UpdateOperation

        if not passages:
            return
        vectors = [None] * len(passages) if dense is None else [vector.tolist() for vector in dense]
        with engine_errors(WRITE):
            need_room(self._index, len(passages) * (POINT_BYTES + 4 * self._dimension))
            points = [_point(*each) for each in zip(passages, vectors, sparse, strict=True)]
            shard = self._filling()
            for start in range(0, len(points), BATCH):
                shard.update(UpdateOperation.upsert_points(points[start : start + BATCH]))
        for weights in sparse:
            self._new_terms.update(weights.indices)
        self._new_sources.update(passage.source for passage in passages)
        self._written += len(passages)

    def _filling(self) -> qdrant_edge.EdgeShard:
        if self._new is None:
            self._new_name = next_generation(disk.last_name(self._index))
            self._new = create(disk.begin_shard(self._index, self._new_name), self._dimension)
        return self._new

    def put_text(self, text: str) -> str:
        """Keep a text under its hash."""
        name = text_hash(text)
        with engine_errors(WRITE):
            need_room(self._index, 4 * len(text))
            texts.put(self._texts, name, text)
        return name

    def delete_source(self, source: str) -> None:
        """Remove a document's passages: from the new shard now, from the others at the commit."""
        from qdrant_edge import UpdateOperation

        self._gone.add(source)
        self._dropped_texts = True
        if self._new is not None and source in self._new_sources:
            with engine_errors(WRITE):
                self._new.update(UpdateOperation.delete_points_by_filter(from_sources([source])))
            self._written = -1  # terms are counted anew at the commit
            self._new_sources.discard(source)

    def commit(self, manifest: Manifest) -> Manifest:
        """Seal the new shard, write the generation and switch to it."""
        with engine_errors(WRITE):
            counts = self._term_counts()
            entries = self._without_gone(counts)
            entries += self._sealed(counts)
            entries = self._merged(entries)
            name = next_generation(disk.last_name(self._index))
            folder = disk.begin(self._index, name)
            terms.save(folder / "terms.npy", counts)
            disk.sync_tree(folder)
            self._texts.commit()
            manifest = replace(manifest, generation=name, shards=tuple(entries))
            disk.write_manifest(self._index, manifest)
        self._entries, self._counts, self._generation = manifest.shards, counts, name
        dropped = self._dropped_texts
        self._begin()
        self._committed()
        with engine_errors(WRITE):
            living = disk.clean(self._index, manifest)
            if dropped:
                needed = {entry.text for each in living for entry in each.documents.values()}
                texts.forget_others(self._texts, needed)
        return manifest

    def _term_counts(self) -> Counter[int]:
        if self._counts is None and self._generation:
            folder = disk.generation_folder(self._index, self._generation)
            return terms.load(folder / "terms.npy").counter()
        if self._counts is None:  # a repair: whatever the table said is not trusted
            self._counts = sum((self._shard(e).terms(None, e.gone) for e in self._entries), Counter())
        return Counter(self._counts)

    def _without_gone(self, counts: Counter[int]) -> list[ShardEntry]:
        """The old shards' entries once this generation's deletions are known to them; empty ones are left out."""
        left = []
        for entry in self._entries:
            shard = self._shard(entry) if self._gone else None
            hits = shard.sources(self._gone, entry.gone) if shard else {}
            if shard and hits:
                counts.subtract(shard.terms(list(hits), entry.gone))
                alive, gone = entry.passages - sum(hits.values()), tuple(sorted({*entry.gone, *hits}))
                entry = replace(entry, passages=alive, gone=gone)
            left += [entry] if entry.passages else []
        return left

    def _sealed(self, counts: Counter[int]) -> list[ShardEntry]:
        """The entry of the new shard, closed and on the disk; none when nothing was written."""
        from qdrant_edge import CountRequest

        shard, folder = self._new, disk.shard_folder(self._index, self._new_name)
        passages = shard.count(CountRequest(exact=True)) if shard is not None else 0
        if shard is None or not passages:
            return []
        graph = self._graph if passages > self._graph.above else None
        if passages != self._written:  # something was replaced or deleted again
            self._new_terms = terms_of(shard)
        counts.update(self._new_terms)
        return [
            ShardEntry(self._new_name, passages, passages, seal(shard, folder, self._dimension, graph), (), bool(graph))
        ]

    def _merged(self, entries: list[ShardEntry]) -> list[ShardEntry]:
        chosen = to_merge(entries)
        living = [entry for entry in chosen if entry.passages]
        if not living:
            return entries
        name = next_generation(disk.last_name(self._index))
        try:
            new = merge(self._index, name, self._dimension, [(self._shard(e), e) for e in living], self._graph)
        except StoreFailed:  # no room to merge: the change itself is more important, and is as good without
            return entries
        return [*(entry for entry in entries if entry not in chosen), new]

    def _shard(self, entry: ShardEntry) -> OpenShard:
        known = self._opened().get(entry.name) or self._own.get(entry.name)
        if known is None:
            known = self._own[entry.name] = OpenShard(self._index, entry)
        return known

    def discard(self) -> None:
        """Remove what was not committed, and let go of the write lock."""
        if self._lock < 0:
            return
        with suppress(Exception):  # the engine may be what failed; its files go either way
            if self._new is not None:
                self._new.close()
        self._new = None
        self._own.clear()
        self._texts.rollback()
        self._texts.close()
        # The disk says what happened, also when an interrupt came right after the switch. A manifest that cannot
        # be read was there before: it is replaced whole or not at all.
        with suppress(HearthError, OSError):
            disk.clean(self._index, disk.read_manifest(self._index))
        os.close(self._lock)
        self._lock = -1


def _point(passage: Passage, dense: list[float] | None, sparse: SparseVector) -> qdrant_edge.Point:
    from qdrant_edge import Point
    from qdrant_edge import SparseVector as EdgeVector

    named: dict[str, Any] = {"sparse": EdgeVector(list(sparse.indices), list(sparse.values))}
    if dense is not None:
        named["dense"] = dense
    return Point(passage.id, named, to_payload(passage))
