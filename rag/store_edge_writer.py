"""Writing an in-process index: a copy of the current generation, changed, sealed and switched to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import HearthError
from rag import generations as disk
from rag.errors import StoreFailed
from rag.manifest import Manifest, next_generation
from rag.sparse import SparseVector
from rag.store import Writer, engine_errors, text_hash, to_payload
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge
    from numpy.typing import NDArray

WRITE = "writing the index"
BATCH = 256
NO_GRAPH = 10**9  # kilobytes below which the optimizer builds no HNSW graph, since search is exact
VACUUM_RATIO = 1.3  # stored vectors, deleted ones included, for each that is alive


class EdgeWriter(Writer):
    """A generation of the index in folder `index`; `lock` is the descriptor of the write lock, let go at the end."""

    def __init__(self, index: Path, lock: int, dimension: int, fresh: bool, committed: Callable[[], object]) -> None:
        self._index, self._lock, self._committed = index, lock, committed
        current = None if fresh else disk.read_manifest(index)
        if current is not None:  # what an interrupted writer left
            disk.clean(index, keep=current.generation)
        self._name = next_generation(disk.last_generation(index))
        self._folder = disk.begin(index, self._name)
        try:
            with engine_errors(WRITE):
                self._shard = self._copy(index, current) if current else _create(self._folder / "shard", dimension)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _copy(self, index: Path, current: Manifest) -> qdrant_edge.EdgeShard:
        from qdrant_edge import EdgeShard

        old = disk.generation_folder(index, current.generation)
        with disk.load_lock(old):
            check_shard(old / "shard")
            disk.copy_shard(old / "shard", self._folder / "shard")
        disk.link_texts(old / "texts", self._folder / "texts")
        return EdgeShard.load(str(self._folder / "shard"))

    def upsert(
        self, passages: Sequence[Passage], dense: NDArray[np.float32] | None, sparse: Sequence[SparseVector]
    ) -> None:
        """Add or replace passages."""
        from qdrant_edge import Point, UpdateOperation
        from qdrant_edge import SparseVector as EdgeVector

        points = [
            Point(
                passage.id,
                {"dense": vector.tolist(), "sparse": EdgeVector(list(terms.indices), list(terms.values))},
                to_payload(passage),
            )
            for passage, vector, terms in zip(passages, [] if dense is None else dense, sparse, strict=True)
        ]
        with engine_errors(WRITE):
            for start in range(0, len(points), BATCH):
                self._shard.update(UpdateOperation.upsert_points(points[start : start + BATCH]))

    def put_text(self, text: str) -> str:
        """Keep a text in a file named by its hash."""
        name = text_hash(text)
        path = self._folder / "texts" / name
        with engine_errors(WRITE):
            if not path.exists():
                aside = path.with_suffix(".new")
                aside.write_bytes(text.encode("utf-8", "surrogatepass"))
                aside.replace(path)
        return name

    def delete_source(self, source: str) -> None:
        """Remove a document's passages."""
        from qdrant_edge import UpdateOperation

        with engine_errors(WRITE):
            self._shard.update(UpdateOperation.delete_points_by_filter(from_sources([source])))

    def commit(self, manifest: Manifest) -> Manifest:
        """Seal the generation and switch to it."""
        manifest = replace(manifest, generation=self._name)
        needed = {entry.text for entry in manifest.documents.values()}
        with engine_errors(WRITE):
            for path in (self._folder / "texts").iterdir():
                if path.name not in needed:
                    path.unlink()
            self._seal()
            disk.sync_tree(self._folder)
            disk.write_manifest(self._index, manifest)
        self._committed()  # the store's own reader moves on first, so that the old generation can go
        disk.clean(self._index, keep=manifest.generation)
        return manifest

    def _seal(self) -> None:
        # Deleted passages stay in the files until the optimizer rewrites them; it is told to build no graph.
        info = self._shard.info()
        if info.indexed_vectors_count > VACUUM_RATIO * info.points_count:
            self._shard.optimize()
        self._shard.flush()
        self._shard.close()

    def discard(self) -> None:
        """Remove what was not committed, and let go of the write lock."""
        if self._lock < 0:
            return
        if not self._is_current():
            with suppress(Exception):  # the engine may be what failed; its files go either way
                self._shard.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1

    def _is_current(self) -> bool:
        # The disk says what happened, also when an interrupt came right after the switch. A manifest that
        # cannot be read was there before: it is replaced whole or not at all.
        try:
            manifest = disk.read_manifest(self._index)
        except HearthError:
            return False
        return manifest is not None and manifest.generation == self._name


def _create(folder: Path, dimension: int) -> qdrant_edge.EdgeShard:
    import qdrant_edge as edge

    folder.mkdir(mode=0o700)
    config = edge.EdgeConfig(
        vectors={"dense": edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine)},
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=NO_GRAPH, default_segment_number=1),
        wal_enabled=False,
    )
    shard = edge.EdgeShard.create(str(folder), config)
    shard.update(edge.UpdateOperation.create_field_index("source", edge.PayloadSchemaType.Keyword))
    return shard


def from_sources(sources: Sequence[str]) -> qdrant_edge.Filter:
    """A filter for the passages of some documents."""
    from qdrant_edge import FieldCondition, Filter, MatchAny

    return Filter(must=[FieldCondition("source", match=MatchAny(list(sources)))])


def check_shard(folder: Path) -> None:
    """Raises StoreFailed when a shard's files are missing."""
    # The engine takes a folder whose segments have gone for an empty one.
    if not (folder / "edge_config.json").is_file() or not any((folder / "segments").iterdir()):
        raise StoreFailed("opening the knowledge base", "its files are missing", "Index the documents again")
