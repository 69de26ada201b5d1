"""An in-process index that cannot be opened, made one that can: damaged parts are left out, and said to be unread."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from decoder.errors import HearthError
from rag import generations as disk
from rag import terms, texts
from rag.errors import StoreFailed
from rag.manifest import REBUILD, Manifest, ShardEntry, unread
from rag.settings import GraphOptions
from rag.store_edge_shard import OpenShard, digest
from rag.store_edge_writer import EdgeWriter

STEP = "repairing the knowledge base"


def salvage(index: Path, graph: GraphOptions) -> list[str]:
    """What was wrong, in words; afterwards the index opens. A document that lost passages has no hash any more.

    Raises:
        IndexLocked: another process is writing it.
        StoreFailed: no manifest can be read, so that nothing is known of it.
    """
    lock = disk.lock_writer(index)
    try:
        found: list[str] = []
        manifest = _manifest(index, found)
        _check_texts(index, found)
        good, counts = _shards(index, manifest, found)
        _check_terms(index, manifest, found)
    except BaseException:
        os.close(lock)
        raise
    if not found:
        os.close(lock)
        return []
    documents = {s: e if counts[s] == e.passages else unread(e) for s, e in manifest.documents.items()}
    broken = [source for source in counts if source not in documents or not documents[source].hash]
    with EdgeWriter(index, lock, manifest.dimension, False, graph, lambda: None, shards=good) as writer:
        for source in broken:
            writer.delete_source(source)
        writer.commit(replace(manifest, documents=documents))
    return found


def _manifest(index: Path, found: list[str]) -> Manifest:
    """The current manifest, else the newest that a generation kept of itself."""
    try:
        if (manifest := disk.read_manifest(index)) is not None:
            return manifest
    except HearthError as error:
        found.append(error.cause)
    for saved in disk.saved_manifests(index):
        found.append(f"the manifest of generation {saved.generation} takes its place")
        return saved
    raise StoreFailed(STEP, "no manifest of it can be read", REBUILD)


def _check_texts(index: Path, found: list[str]) -> None:
    """Remove texts that SQLite cannot read; their documents will be read again."""
    try:
        with closing(texts.connect(index)) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return
            cause = "the texts are damaged"
    except sqlite3.DatabaseError as error:
        cause = f"the texts cannot be read: {error}"
    found.append(cause)
    for path in index.glob(f"{texts.FILE}*"):
        path.unlink()


def _shards(index: Path, manifest: Manifest, found: list[str]) -> tuple[list[ShardEntry], Counter[str]]:
    """The shards that are as they were sealed, and the living passages in them by source."""
    good, counts = [], Counter[str]()
    for entry in manifest.shards:
        folder = disk.shard_folder(index, entry.name)
        cause = f"shard {entry.name} is damaged or missing"
        with suppress(HearthError, OSError):
            if digest(folder) == entry.digest:
                sources = OpenShard(index, entry).sources(gone=entry.gone)
                if sum(sources.values()) == entry.passages:
                    good.append(entry)
                    counts.update(sources)
                    continue
        found.append(cause)
    return good, counts


def _check_terms(index: Path, manifest: Manifest, found: list[str]) -> None:
    try:
        terms.load(disk.generation_folder(index, manifest.generation) / "terms.npy")
    except StoreFailed as error:
        found.append(error.cause)
