"""Which shards of an in-process index are merged into one, and how: as log-structured stores do it.

Small shards are merged with their like, so that writing n passages in many small runs costs n log n and not n squared
(O'Neil et al. 1996, "The Log-Structured Merge-Tree"), and a shard that has lost much is written anew without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag import generations as disk
from rag.errors import StoreFailed
from rag.manifest import ShardEntry
from rag.settings import GraphOptions
from rag.store_edge_shard import BATCH, OpenShard, create, disk_bytes, seal

if TYPE_CHECKING:
    import qdrant_edge

MOST_SHARDS = 8
MOST_DEAD = 0.3
"""Share of a shard's passages that may be dead before it is written anew."""
FEW_DEAD = 64
MOST_GONE = 1000
"""Sources in a shard's list of what is gone, which every search in it carries along."""
LIKE = 2.0
"""A shard is merged with smaller ones when it has at most so many times their passages."""
SPARE_BYTES = 32 << 20
"""Left free on the disk: the engine maps its files, and a write that finds no room there would kill the process."""


def to_merge(entries: Sequence[ShardEntry]) -> list[ShardEntry]:
    """The shards that one new shard should take the place of; often none."""
    chosen = [entry for entry in entries if _is_worn(entry)]
    if len(entries) - len(chosen) + bool(chosen) <= MOST_SHARDS:
        return chosen
    total = sum(entry.passages for entry in chosen)
    for entry in sorted((e for e in entries if e not in chosen), key=lambda entry: entry.passages):
        if len(chosen) >= 2 and entry.passages > LIKE * total:
            break
        chosen.append(entry)
        total += entry.passages
    return chosen


def _is_worn(entry: ShardEntry) -> bool:
    dead = entry.sealed - entry.passages
    return len(entry.gone) > MOST_GONE or dead > max(FEW_DEAD, MOST_DEAD * entry.sealed)


def merge(
    index: Path, name: str, dimension: int, parts: Sequence[tuple[OpenShard, ShardEntry]], graph: GraphOptions
) -> ShardEntry:
    """Write the living passages of `parts` as one sealed shard `name`. Raises StoreFailed when the disk is full."""
    from qdrant_edge import UpdateOperation

    need_room(index, sum(disk_bytes(disk.shard_folder(index, entry.name)) for _, entry in parts))
    folder = disk.begin_shard(index, name)
    shard = create(folder, dimension)
    for points in _batches(parts):
        shard.update(UpdateOperation.upsert_points(points))
    passages = sum(entry.passages for _, entry in parts)
    with_graph = graph if passages > graph.above else None
    return ShardEntry(
        name, passages, passages, seal(shard, folder, dimension, with_graph), graph=with_graph is not None
    )


def _batches(parts: Sequence[tuple[OpenShard, ShardEntry]]) -> Iterator[list[qdrant_edge.Point]]:
    from qdrant_edge import Point

    batch: list[Point] = []
    for shard, entry in parts:
        for record in shard.records(None, entry.gone, vectors=True):
            batch.append(Point(record.id, record.vector, record.payload))
            if len(batch) >= BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def need_room(index: Path, size: int) -> None:
    """Raises StoreFailed unless `size` bytes and some to spare are free where the index is."""
    free = shutil.disk_usage(index).free
    if free < size + SPARE_BYTES:
        cause = f"{free >> 20} MiB are free on the disk, and {(size + SPARE_BYTES) >> 20} MiB are needed"
        raise StoreFailed("writing the index", cause, "Free some space; the index stays as it was")
