"""`EdgeStore`: an index in a folder, searched by Qdrant's own engine in this process.

Several processes may read while one writes: a generation is a sealed copy that no writer touches again. The
engine's write-ahead log is off, since a generation that was not sealed is thrown away anyhow, and the log would
keep a second process from opening it. Search is exact: a few milliseconds up to 100,000 passages.
"""

from __future__ import annotations

import os
import shutil
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag import generations as disk
from rag.errors import StoreFailed
from rag.filters import Where
from rag.manifest import Manifest
from rag.sparse import SparseVector
from rag.store import (
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
from rag.store_edge_writer import EdgeWriter, check_shard
from rag.store_where import edge_filter
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READ = "reading the index"


class _Generation:
    """An opened generation. The lock that keeps it on disk goes when the last user of this object does."""

    def __init__(self, index: Path, manifest: Manifest, descriptor: int) -> None:
        import qdrant_edge

        weakref.finalize(self, os.close, descriptor)
        self.manifest = manifest
        self.folder = disk.generation_folder(index, manifest.generation)
        with disk.load_lock(self.folder):
            check_shard(self.folder / "shard")
            self.shard = qdrant_edge.EdgeShard.load(str(self.folder / "shard"))
            if self.shard.count(qdrant_edge.CountRequest(exact=True)) != manifest.passages:
                raise StoreFailed("opening the knowledge base", "passages are missing", "Index the documents again")


class EdgeStore(Store):
    """An index in `folder`, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stamp: tuple[int, int, int] | None = None
        self._open: _Generation | None = None
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Move to the current generation; True when there is one."""
        with self._lock:
            stamp = disk.manifest_stamp(self.folder)
            if stamp != self._stamp or stamp is None:
                with engine_errors("opening the knowledge base"):
                    self._open, self._stamp = self._newest(), stamp
            return self._open is not None

    def _newest(self) -> _Generation | None:
        # A writer may switch and clean up between our two steps; then there is a newer manifest to read.
        for _ in range(100):
            manifest = disk.read_manifest(self.folder)
            if manifest is None:
                return None
            if self._open is not None and self._open.manifest.generation == manifest.generation:
                return self._open
            descriptor = disk.lock_reader(disk.generation_folder(self.folder, manifest.generation))
            if descriptor is not None:
                return _Generation(self.folder, manifest, descriptor)
            if not disk.generation_folder(self.folder, manifest.generation).is_dir() and (
                manifest == disk.read_manifest(self.folder)
            ):
                break
        raise StoreFailed("opening the knowledge base", "its files are missing", "Index the documents again")

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
        from qdrant_edge import CountRequest

        reading = self._reading()
        with engine_errors(READ):
            return reading.shard.count(CountRequest(exact=True))

    def search_dense(self, vector: NDArray[np.float32], limit: int, where: Where | None = None) -> list[Scored]:
        """Exact cosine search."""
        from qdrant_edge import Query

        return self._search(Query.Nearest(vector.tolist(), using="dense"), limit, where)

    def search_sparse(self, vector: SparseVector, limit: int, where: Where | None = None) -> list[Scored]:
        """BM25 search."""
        from qdrant_edge import Query
        from qdrant_edge import SparseVector as EdgeVector

        if not vector.indices:
            return []
        query = Query.Nearest(EdgeVector(list(vector.indices), list(vector.values)), using="sparse")
        return [scored for scored in self._search(query, limit, where) if scored[1] > 0]

    def _search(self, query: Any, limit: int, where: Where | None) -> list[Scored]:
        from qdrant_edge import QueryRequest, SearchParams

        reading = self._reading()
        request = QueryRequest(
            limit=limit, query=query, with_payload=True, filter=edge_filter(where), params=SearchParams(exact=True)
        )
        with engine_errors(READ):
            points = reading.shard.query(request)
        return ranked([(from_payload(point.payload), point.score) for point in points], limit)

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """Passages by id, in the order given."""
        reading, wanted = self._reading(), known_ids(ids)
        if not wanted:
            return []
        with engine_errors(READ):
            records = reading.shard.retrieve(list(wanted), with_payload=True, with_vector=False)
        found = {passage.id: passage for passage in (from_payload(record.payload) for record in records)}
        return [found[key] for key in wanted if key in found]

    def text(self, source: str) -> str:
        """A document's text, checked against its hash."""
        reading = self._reading()
        entry = reading.manifest.documents.get(source)
        if entry is None:
            raise unknown_source(source)
        with engine_errors("opening a document"):
            data = (reading.folder / "texts" / _file_name(entry.text)).read_bytes()
        return check_text(data, entry.text, source)

    def generation(self, dimension: int, fresh: bool = False) -> Writer:
        """Begin a generation; raises IndexLocked."""
        with engine_errors("writing the index"):
            lock = disk.lock_writer(self.folder)
            try:
                return EdgeWriter(self.folder, lock, dimension, fresh, self.refresh)
            except BaseException:
                os.close(lock)
                raise

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


def _file_name(digest: str) -> str:
    if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
        raise StoreFailed("opening a document", "the manifest is damaged", "Index the documents again")
    return digest
