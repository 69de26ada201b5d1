"""`EdgeStore`: an index in a folder, searched by Qdrant's own engine in this process.

Several processes may read while one writes: a generation is a list of sealed shards that no writer touches again, so
a small change writes one small shard. Dense search is exact up to 50,000 passages a shard: a few milliseconds.
"""

from __future__ import annotations

import os
import shutil
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from rag import generations as disk
from rag import terms, texts
from rag.errors import IndexMismatch, StoreFailed
from rag.filters import Where
from rag.manifest import Manifest, ShardEntry
from rag.settings import GraphOptions
from rag.sparse import SparseVector
from rag.store import (
    Point,
    Scored,
    Store,
    Writer,
    check_text,
    engine_errors,
    from_payload,
    known_ids,
    no_index,
    ranked,
    unknown_source,
)
from rag.store_edge_filter import edge_filter
from rag.store_edge_migrate import migrate
from rag.store_edge_salvage import salvage
from rag.store_edge_shard import OPEN, REPAIR, OpenShard, digest, disk_bytes, sparse_of
from rag.store_edge_writer import EdgeWriter
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READ = "reading the index"


class _Generation:
    """An opened generation. The lock that keeps it on disk goes when the last user of this object does."""

    def __init__(self, index: Path, manifest: Manifest, descriptor: int, known: dict[str, OpenShard]) -> None:
        weakref.finalize(self, os.close, descriptor)
        self.manifest = manifest
        self.terms = terms.load(disk.generation_folder(index, manifest.generation) / "terms.npy")
        self.shards = [(known.get(entry.name) or OpenShard(index, entry), entry) for entry in manifest.shards]
        for shard, entry in self.shards:
            if shard.name not in known and shard.count(entry.gone) != entry.passages:
                raise StoreFailed(OPEN, "passages are missing", REPAIR)
        if sum(entry.passages for entry in manifest.shards) != manifest.passages:
            raise StoreFailed(OPEN, "passages are missing", REPAIR)

    @property
    def engines(self) -> dict[str, OpenShard]:
        """The opened shards by name, for the next generation to share."""
        return {shard.name: shard for shard, _ in self.shards}


class EdgeStore(Store):
    """An index in `folder`, which need not exist yet."""

    def __init__(self, folder: Path, graph: GraphOptions | None = None) -> None:
        self.folder, self.graph = folder, graph or GraphOptions()
        self._stamp: tuple[int, int, int] | None = None
        self._open: _Generation | None = None
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Move to the current generation; True when there is one."""
        with self._lock:
            stamp = disk.manifest_stamp(self.folder)
            if stamp != self._stamp or stamp is None:
                with engine_errors(OPEN):
                    self._open, self._stamp = self._newest(), stamp
            return self._open is not None

    def _newest(self) -> _Generation | None:
        # A writer may switch and clean up between our two steps; then there is a newer manifest to read.
        for _ in range(100):
            manifest = self._read_manifest()
            if manifest is None:
                return None
            if self._open is not None and self._open.manifest.generation == manifest.generation:
                return self._open
            descriptor = disk.lock_reader(disk.generation_folder(self.folder, manifest.generation))
            if descriptor is not None:
                return _Generation(self.folder, manifest, descriptor, self._open.engines if self._open else {})
            if not disk.generation_folder(self.folder, manifest.generation).is_dir() and (
                manifest == disk.read_manifest(self.folder)
            ):
                break
        raise StoreFailed(OPEN, "its files are missing", REPAIR)

    def _read_manifest(self) -> Manifest | None:
        try:
            return disk.read_manifest(self.folder)
        except IndexMismatch:
            migrate(self.folder, self.graph)  # raises IndexMismatch for what is not older but newer
            return disk.read_manifest(self.folder)

    def _reading(self) -> _Generation:
        if self._open is None:
            self.refresh()
        current = self._open
        if current is None:
            raise no_index(self.folder.name)
        return current

    def manifest(self) -> Manifest:
        """Of the generation being read."""
        return self._reading().manifest

    def count(self) -> int:
        """Passages in the index."""
        reading = self._reading()
        with engine_errors(READ):
            return sum(shard.count(entry.gone) for shard, entry in reading.shards)

    def search_dense(self, vector: NDArray[np.float32], limit: int, where: Where | None = None) -> list[Scored]:
        """Cosine search: exact in every shard without a graph."""
        from qdrant_edge import Query

        if len(vector) != self.manifest().dimension:
            cause = f"the query has {len(vector)} dimensions, the index {self.manifest().dimension}"
            raise UsageError("searching", cause, "Search with the model that made the index")
        return self._search(Query.Nearest(vector.tolist(), using="dense"), limit, where)

    def search_sparse(self, vector: SparseVector, limit: int, where: Where | None = None) -> list[Scored]:
        """BM25 search."""
        from qdrant_edge import Query
        from qdrant_edge import SparseVector as EdgeVector

        if not vector.indices:
            return []
        reading = self._reading()
        weighted = reading.terms.weighted(vector, reading.manifest.passages)
        query = Query.Nearest(EdgeVector(list(weighted.indices), list(weighted.values)), using="sparse")
        return [scored for scored in self._search(query, limit, where) if scored[1] > 0]

    def _search(self, query: Any, limit: int, where: Where | None) -> list[Scored]:
        reading = self._reading()
        with engine_errors(READ):
            points = [
                point for shard, entry in reading.shards for point in self._ask(shard, entry, query, limit, where)
            ]
        best = sorted(points, key=lambda point: (-point.score, str(point.id)))[:limit]
        return ranked([(from_payload(point.payload), point.score) for point in best], limit)

    def _ask(self, shard: OpenShard, entry: ShardEntry, query: Any, limit: int, where: Where | None) -> Sequence[Any]:
        from qdrant_edge import QueryRequest, SearchParams

        request = QueryRequest(
            limit=limit,
            query=query,
            with_payload=True,
            filter=edge_filter(where, entry.gone),
            params=SearchParams(hnsw_ef=max(self.graph.ef, limit)) if entry.graph else SearchParams(exact=True),
        )
        return shard.engine.query(request)

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """Passages by id, in the order given."""
        reading, wanted = self._reading(), known_ids(ids)
        found: dict[str, Passage] = {}
        with engine_errors(READ):
            for shard, entry in reading.shards if wanted else ():
                gone = set(entry.gone)
                for record in shard.engine.retrieve(list(wanted), with_payload=True, with_vector=False):
                    passage = from_payload(record.payload)
                    if passage.source not in gone:
                        found[passage.id] = passage
        return [found[key] for key in wanted if key in found]

    def points(self, sources: Sequence[str] | None = None) -> Iterator[Point]:
        """Living passages with their vectors, shard by shard."""
        import numpy as np

        for shard, entry in self._reading().shards:
            with engine_errors(READ):
                for record in shard.records(sources, entry.gone, vectors=True):
                    dense = record.vector.get("dense")
                    vector = None if dense is None else np.asarray(dense, dtype=np.float32)
                    yield Point(from_payload(record.payload), vector, sparse_of(record))

    def text(self, source: str) -> str:
        """A document's text, checked against its hash."""
        entry = self._reading().manifest.documents.get(source)
        if entry is None:
            raise unknown_source(source)
        with engine_errors("opening a document"):
            data = texts.get(self.folder, entry.text)
        return check_text(data, entry.text, source)

    def generation(self, dimension: int, fresh: bool = False) -> Writer:
        """Begin a generation; raises IndexLocked."""
        with engine_errors("writing the index"):
            lock = disk.lock_writer(self.folder)
            try:
                return EdgeWriter(self.folder, lock, dimension, fresh, self.graph, self.refresh, self._engines)
            except BaseException:
                os.close(lock)
                raise

    def _engines(self) -> dict[str, OpenShard]:
        return self._open.engines if self._open is not None else {}

    def check_files(self) -> list[str]:
        """Shards whose files are not what was sealed."""
        reading = self._reading()
        with engine_errors(READ):
            return [
                f"shard {entry.name} is not what was sealed"
                for entry in reading.manifest.shards
                if digest(disk.shard_folder(self.folder, entry.name)) != entry.digest
            ]

    def salvage(self) -> list[str]:
        """Leave damaged shards, texts and term counts out; their documents are listed without a hash."""
        if not self.folder.is_dir():
            raise no_index(self.folder.name)
        self.close()
        with engine_errors("repairing the knowledge base"):
            return salvage(self.folder, self.graph)

    def size(self) -> int:
        """Bytes on the disk, holes not counted."""
        return disk_bytes(self.folder)

    def delete(self) -> None:
        """Remove the folder."""
        if not self.folder.is_dir():
            raise no_index(self.folder.name)
        with engine_errors("deleting the index"):
            lock = disk.lock_writer(self.folder)
            try:
                self.close()
                (self.folder / "manifest.json").unlink(missing_ok=True)
                shutil.rmtree(self.folder)
            finally:
                os.close(lock)

    def close(self) -> None:
        """Let go of the generation being read."""
        with self._lock:
            self._open, self._stamp = None, None
