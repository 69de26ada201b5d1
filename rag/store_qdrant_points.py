"""Passages on a Qdrant server, several versions side by side: each is stamped with the generations it came and left.

A generation under way adds points and stamps `died` on those it replaces or removes, so that a small change writes
little and readers of the generation before it see everything they saw. What it writes has ids of its own, made from
the passage's id and the generation's number: writing the same again, from any process, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from rag.sparse import SparseVector
from rag.store import Point, from_payload, text_hash, to_payload
from rag.store_qdrant_errors import qdrant_errors
from rag.store_qdrant_filter import born_after, born_in, died_after, died_by, seen_by
from rag.store_qdrant_lease import WRITE
from rag.store_qdrant_texts import has_text, put_text
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient
    from qdrant_client.models import Record

BATCH = 128
PAGE = 1000
STAMPS = ("born", "died")


@dataclass(frozen=True, slots=True)
class Target:
    """A generation that is being written: all that another process needs to write to it.

    Attributes:
        name: of the index.
        number: of the generation; passages are stamped with it.
        older: the collection holds passages of generations before this one.
        owner: who holds the right to write.
    """

    name: str
    collection: str
    number: int
    older: bool
    owner: str


def put_passages(
    client: QdrantClient,
    target: Target,
    passages: Sequence[Passage],
    dense: NDArray[np.float32] | None,
    sparse: Sequence[SparseVector],
) -> None:
    """Add or replace passages by id. Idempotent. A passage that is there already, word for word, gets its vectors."""
    vectors = [_vectors(None if dense is None else dense[i], terms) for i, terms in enumerate(sparse)]
    if len(vectors) != len(passages) or (dense is not None and len(dense) != len(passages)):
        raise ValueError(f"{len(passages)} passages with {len(vectors)} sparse vectors")
    pairs = list(zip(passages, vectors, strict=True))
    with qdrant_errors(WRITE):
        for start in range(0, len(pairs), BATCH):
            _put(client, target, pairs[start : start + BATCH])


def _vectors(dense: NDArray[np.float32] | None, sparse: SparseVector) -> dict[str, Any]:
    from qdrant_client import models

    found: dict[str, Any] = {
        "sparse": models.SparseVector(indices=list(sparse.indices), values=list(sparse.values)),
    }
    return found if dense is None else {**found, "dense": dense.tolist()}


def _put(client: QdrantClient, target: Target, pairs: Sequence[tuple[Passage, dict[str, Any]]]) -> None:
    from qdrant_client import models

    known = _known(client, target, [passage.id for passage, _ in pairs]) if target.older else {}
    new: list[Any] = []
    kept: list[Any] = []
    replaced: list[Any] = []
    outdated: list[Any] = []
    for passage, vectors in pairs:
        own, old = point_id(passage.id, target.number), known.get(passage.id)
        if old is not None and passage_of(old.payload) == passage:
            kept.append(models.PointVectors(id=old.id, vector=vectors))
            outdated.append(own)  # should this generation have replaced it before
            continue
        replaced += [] if old is None else [old.id]
        payload = {**to_payload(passage), "born": target.number}
        new.append(models.PointStruct(id=own, vector=vectors, payload=payload))
    operations: list[Any] = []
    if new:
        operations.append(models.UpsertOperation(upsert=models.PointsList(points=new)))
    if replaced:
        died = models.SetPayload(payload={"died": target.number}, points=replaced)
        operations.append(models.SetPayloadOperation(set_payload=died))
    if kept:
        alive = models.DeletePayload(keys=["died"], points=[each.id for each in kept])
        operations += [
            models.UpdateVectorsOperation(update_vectors=models.UpdateVectors(points=kept)),
            models.DeletePayloadOperation(delete_payload=alive),
            models.DeleteOperation(delete=models.PointIdsList(points=outdated)),
        ]
    client.batch_update_points(target.collection, operations, wait=True)


def _known(client: QdrantClient, target: Target, ids: Sequence[str]) -> dict[str, Any]:
    """The versions of these passages that the generation before this one shows, by passage id."""
    found: dict[str, Any] = {}
    offset: Any = None
    while True:
        records, offset = client.scroll(
            target.collection, seen_by(target.number - 1, "id", ids), limit=PAGE, offset=offset
        )
        found.update((str((record.payload or {}).get("id")), record) for record in records)
        if offset is None:
            return found


def put_document_text(client: QdrantClient, target: Target, text: str) -> str:
    """Keep a document's text once; returns the sha256 that names it."""
    key = text_hash(text)
    with qdrant_errors(WRITE):
        if not has_text(client, target.collection, key):
            put_text(client, target.collection, key, text, target.number)
    return key


def remove_source(client: QdrantClient, target: Target, source: str) -> None:
    """Remove a document's passages from this generation; readers of the one before keep them."""
    from qdrant_client import models

    with qdrant_errors(WRITE):
        own = born_in(target.number, "source", [source])
        client.delete(target.collection, models.FilterSelector(filter=own), wait=True)
        if target.older:
            seen = seen_by(target.number - 1, "source", [source])
            client.set_payload(target.collection, {"died": target.number}, seen, wait=True)


def undo(client: QdrantClient, collection: str, number: int) -> None:
    """Back to what generation `number` shows: what writers that never committed left behind goes."""
    from qdrant_client import models

    later = models.FilterSelector(filter=born_after(number))
    client.delete(collection, later, wait=True)
    client.delete_payload(collection, ["died"], died_after(number), wait=True)
    client.delete(f"{collection}.texts", later, wait=True)


def purge(client: QdrantClient, collection: str, number: int) -> None:
    """Delete the passages that no reader of generation `number` or later sees."""
    from qdrant_client import models

    client.delete(collection, models.FilterSelector(filter=died_by(number)), wait=True)


def passage_of(payload: Mapping[str, Any] | None) -> Passage:
    """The passage in a point's payload, without its stamps. Raises StoreFailed when it holds none."""
    return from_payload({key: value for key, value in (payload or {}).items() if key not in STAMPS})


def point_of(record: Record) -> Point:
    """A passage with its vectors; dense ones come back as unit vectors of float32."""
    import numpy as np

    vectors: Any = record.vector or {}
    sparse, dense = vectors.get("sparse"), vectors.get("dense")
    terms = SparseVector(tuple(sparse.indices), tuple(sparse.values)) if sparse else SparseVector((), ())
    return Point(passage_of(record.payload), None if dense is None else np.asarray(dense, dtype=np.float32), terms)


def point_id(passage: str, number: int) -> str:
    """The id of the version of a passage that generation `number` wrote."""
    return str(uuid5(UUID(passage), str(number)))
