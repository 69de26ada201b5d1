"""One shard of an in-process index: Qdrant's engine over a folder that is written once, sealed, and then only read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag import generations as disk
from rag.errors import StoreFailed
from rag.manifest import ShardEntry
from rag.settings import GraphOptions
from rag.sparse import SparseVector
from rag.store_edge_filter import edge_filter, from_sources

if TYPE_CHECKING:
    import qdrant_edge

OPEN = "opening the knowledge base"
REPAIR = "Run `hearth kb repair`"
BATCH = 256
NO_GRAPH = 10**9  # kilobytes below which the optimizer builds no HNSW graph
BLOCK = 4096
FEW_SOURCES = 16
KEYWORDS = ("source", "tenant", "readers", "facts")
REWRITTEN = "edge_config.json"
"""The engine writes this file anew whenever it opens a shard."""
UNFINISHED = ".atomicwrite"
"""How the names begin that the engine gives a file until it is whole and can be moved to its place."""


def create(folder: Path, dimension: int) -> qdrant_edge.EdgeShard:
    """A shard to be filled in `folder`/shard. Its write-ahead log is off: one that was not sealed is thrown away."""
    import qdrant_edge as edge

    place = folder / "shard"
    place.mkdir(mode=0o700)
    shard = edge.EdgeShard.create(str(place), _config(dimension))
    for key in KEYWORDS:
        shard.update(edge.UpdateOperation.create_field_index(key, edge.PayloadSchemaType.Keyword))
    shard.update(edge.UpdateOperation.create_field_index("page", edge.PayloadSchemaType.Integer))
    return shard


def _config(dimension: int, graph: GraphOptions | None = None) -> qdrant_edge.EdgeConfig:
    import qdrant_edge as edge

    threshold = NO_GRAPH if graph is None else 1
    hnsw = None if graph is None else edge.HnswIndexConfig(graph.m, graph.ef_construct, full_scan_threshold=1)
    return edge.EdgeConfig(
        vectors={"dense": edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine)},
        # No modifier: inverse frequencies are of the whole index, not of a shard (rag/terms.py).
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams()},
        hnsw_config=hnsw,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=threshold, default_segment_number=1),
        wal_enabled=False,
    )


def seal(shard: qdrant_edge.EdgeShard, folder: Path, dimension: int, graph: GraphOptions | None) -> str:
    """Close a filled shard, with an HNSW graph when `graph` says so, bring it to the disk, return its digest."""
    import qdrant_edge as edge

    shard.flush()
    shard.close()
    if graph is not None:
        shard = edge.EdgeShard.load(str(folder / "shard"), _config(dimension, graph))
        shard.optimize()
        shard.flush()
        shard.close()
    edge.EdgeShard.load(str(folder / "shard")).close()  # the first opening folds journals into the files
    disk.sync_tree(folder)
    return digest(folder)


def digest(folder: Path) -> str:
    """sha256 over the names, sizes and contents of a sealed shard's files; blocks of zeros count as holes."""
    whole = hashlib.sha256()
    for path, found in sorted(_files(folder / "shard")):
        if path.name != REWRITTEN:
            whole.update(f"{path.relative_to(folder)}\0{found.st_size}\0".encode())
            for position, block in _blocks(path):
                whole.update(position.to_bytes(8, "big") + block)
    return whole.hexdigest()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files below `folder`. Other processes open shards meanwhile, so what the engine is about to move into the
    place of `REWRITTEN` is passed over, and so is what has gone since it was listed.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                found = path.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode) and not name.startswith(UNFINISHED):
                yield path, found


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The blocks of a file that are not all zeros; holes, which most of the engine's files are, are skipped."""
    with path.open("rb", buffering=0) as file:
        size, position, zeros = os.fstat(file.fileno()).st_size, 0, bytes(BLOCK)
        while position < size:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:
                return  # ENXIO: no data after `position`
            stop = os.lseek(file.fileno(), position, os.SEEK_HOLE)
            for start in range(position, stop, BLOCK):
                if (block := os.pread(file.fileno(), BLOCK, start)) != zeros[: len(block)]:
                    yield start, block
            position = max(stop, position + BLOCK)


def disk_bytes(folder: Path) -> int:
    """What the files below `folder` take on the disk, holes not counted."""
    return sum(found.st_blocks * 512 for _, found in _files(folder))


CHECKED_BYTES = 64 << 20
"""A shard of at most so many bytes is held against its digest when it is opened; larger ones by `hearth kb verify`."""


class OpenShard:
    """A sealed shard being read; several generations may share it."""

    def __init__(self, index: Path, entry: ShardEntry) -> None:
        import qdrant_edge

        folder = disk.shard_folder(index, entry.name)
        with disk.load_lock(folder):
            # The engine takes a folder whose segments have gone for an empty one, and maps files without a look.
            if not (folder / "shard" / REWRITTEN).is_file():
                raise StoreFailed(OPEN, "its files are missing", REPAIR)
            if disk_bytes(folder) <= CHECKED_BYTES and digest(folder) != entry.digest:
                raise StoreFailed(OPEN, f"the files of shard {entry.name} are damaged", REPAIR)
            self.engine = qdrant_edge.EdgeShard.load(str(folder / "shard"))
        self.name = entry.name

    def count(self, gone: Sequence[str] = ()) -> int:
        """Passages that are alive."""
        from qdrant_edge import CountRequest

        return self.engine.count(CountRequest(exact=True, filter=edge_filter(None, gone)))

    def sources(self, among: Collection[str] | None = None, gone: Sequence[str] = ()) -> dict[str, int]:
        """Living passages by source, of all sources or of some."""
        from qdrant_edge import FacetRequest

        # The engine counts all sources faster than a long list of them.
        listed = sorted(among) if among is not None and len(among) <= FEW_SOURCES else None
        chosen = edge_filter(None, gone) if listed is None else from_sources(listed, gone)
        limit = max(1, len(listed) if listed is not None else self.count())
        answer = self.engine.facet(FacetRequest("source", limit=limit, exact=True, filter=chosen))
        return {str(hit.value): hit.count for hit in answer.hits if among is None or str(hit.value) in among}

    def records(
        self, sources: Sequence[str] | None, gone: Sequence[str], vectors: bool | list[str], payload: bool = True
    ) -> Iterator[Any]:
        """Living points in order of id, of all sources or of some, a page at a time."""
        chosen = edge_filter(None, gone) if sources is None else from_sources(sources, gone)
        return scroll(self.engine, chosen, vectors, payload)

    def terms(self, sources: Sequence[str] | None, gone: Sequence[str]) -> Counter[int]:
        """How many of the living points hold each term."""
        return _terms(self.records(sources, gone, ["sparse"], payload=False))


def scroll(
    engine: qdrant_edge.EdgeShard, chosen: qdrant_edge.Filter | None, vectors: bool | list[str], payload: bool = True
) -> Iterator[Any]:
    """All points that `chosen` lets through, a page at a time."""
    from qdrant_edge import ScrollRequest

    offset: Any = None
    while True:
        request = ScrollRequest(offset=offset, limit=BATCH, filter=chosen, with_payload=payload, with_vector=vectors)
        found, offset = engine.scroll(request)
        yield from found
        if offset is None:
            return


def terms_of(engine: qdrant_edge.EdgeShard) -> Counter[int]:
    """How many points of an engine's folder hold each term."""
    return _terms(scroll(engine, None, ["sparse"], payload=False))


def _terms(records: Iterator[Any]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for record in records:
        counts.update(sparse_of(record).indices)
    return counts


def sparse_of(record: Any) -> SparseVector:
    """The sparse vector of a point that was read with vectors; empty when it has none."""
    found = record.vector.get("sparse") if isinstance(record.vector, dict) else None
    return SparseVector(tuple(found.indices), tuple(found.values)) if found is not None else SparseVector((), ())
