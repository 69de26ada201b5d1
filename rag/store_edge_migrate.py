"""An index of schema 1 brought to today's: read once, written anew, switched to; nothing is embedded again.

Schema 1 kept one engine folder and one text file a document in each generation, and left the inverse document
frequencies to the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag import generations as disk
from rag.errors import IndexMismatch, StoreFailed
from rag.manifest import REBUILD, STEP, DocumentEntry, Manifest, is_generation
from rag.settings import GraphOptions
from rag.store import check_text, from_payload
from rag.store_edge_shard import BATCH, scroll, sparse_of
from rag.store_edge_writer import EdgeWriter

if TYPE_CHECKING:
    import qdrant_edge

OLD_SCHEMA = 1


def migrate(index: Path, graph: GraphOptions) -> None:
    """Bring the index in folder `index` from schema 1 to today's.

    Raises:
        IndexMismatch: it has neither.
        IndexLocked: another process is writing it.
        StoreFailed: it is damaged.
    """
    lock = disk.lock_writer(index)
    try:
        old, generation = _old_manifest(index)
    except BaseException:
        os.close(lock)
        raise
    folder = disk.generation_folder(index, generation)
    writer = EdgeWriter(index, lock, old.dimension, True, graph, lambda: None)
    with writer, disk.load_lock(folder):
        shard = _open(folder)
        records = scroll(shard, None, True)
        while batch := list(islice(records, BATCH)):
            _copy(batch, writer)
        for source, entry in old.documents.items():
            writer.put_text(check_text((folder / "texts" / entry.text).read_bytes(), entry.text, source))
        writer.commit(old)


def _old_manifest(index: Path) -> tuple[Manifest, str]:
    """What schema 1 said, and the name of its generation."""
    try:
        body = json.loads((index / "manifest.json").read_bytes())
        if body.get("schema") != OLD_SCHEMA:
            cause = f"it has schema {str(body.get('schema'))[:20]}, which this version does not know"
            raise IndexMismatch(STEP, cause, f"Use a newer version of Hearth, or: {REBUILD}")
        checksum = body.pop("checksum")
        canonical = json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        if checksum != hashlib.sha256(canonical.encode("ascii")).hexdigest() or not is_generation(body["generation"]):
            raise ValueError("the checksum does not match")
        documents = {str(source): DocumentEntry(**entry) for source, entry in body.pop("documents").items()}
        for entry in documents.values():
            if len(entry.text) != 64 or not all(c in "0123456789abcdef" for c in entry.text):
                raise ValueError("a text has an impossible name")
        generation, _ = body.pop("generation"), body.pop("schema")
        return Manifest(**body, documents=documents), generation
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreFailed(STEP, f"the manifest is damaged: {str(error)[:100]}", REBUILD) from error


def _open(folder: Path) -> qdrant_edge.EdgeShard:
    from qdrant_edge import EdgeShard

    place = folder / "shard"
    if not (place / "edge_config.json").is_file() or not any((place / "segments").iterdir()):
        raise StoreFailed(STEP, "its files are missing", REBUILD)
    return EdgeShard.load(str(place))


def _copy(batch: list[Any], writer: EdgeWriter) -> None:
    import numpy as np

    dense = np.asarray([record.vector["dense"] for record in batch], dtype=np.float32)
    writer.upsert([from_payload(record.payload) for record in batch], dense, [sparse_of(record) for record in batch])
