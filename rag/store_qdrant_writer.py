"""Writing an index on a Qdrant server: the lock, a generation built in collections of its own, the alias moved."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import NAMESPACE_URL, uuid4, uuid5

from rag.errors import IndexLocked
from rag.manifest import Manifest, dump, is_generation, next_generation
from rag.sparse import SparseVector
from rag.store import Writer, engine_errors, text_hash, to_payload
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient

WRITE = "writing the index"
BATCH = 128
LEASE_SECONDS = 900.0
MANIFEST_ID = str(uuid5(NAMESPACE_URL, "hearth:manifest"))
_LEASE = str(uuid5(NAMESPACE_URL, "hearth:lease"))


def aliased(client: QdrantClient, name: str) -> str | None:
    """The collection that answers for index `name` now."""
    return next((a.collection_name for a in client.get_aliases().aliases if a.alias_name == name), None)


class Lease:
    """The right to write, as a collection that only one can create; it runs out, for writers that were killed."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        self._client, self._name, self._owner = client, f"{name}.lock", str(uuid4())
        with engine_errors(WRITE):
            if not self._create() and not (self._expired() and self._create()):
                remedy = f"Wait; the lock of a writer that was killed ends after {LEASE_SECONDS / 60:.0f} minutes"
                raise IndexLocked(WRITE, f"another process is writing {name}", remedy)
            self.renew()

    def _create(self) -> bool:
        try:
            return bool(self._client.create_collection(self._name, vectors_config={}))
        except Exception:
            if self._client.collection_exists(self._name):
                return False
            raise

    def _expired(self) -> bool:
        found = self._client.retrieve(self._name, [_LEASE])
        until = (found[0].payload or {}).get("until", 0) if found else time.time() + 1
        return bool(until < time.time() and self._client.delete_collection(self._name))

    def renew(self) -> None:
        """Another quarter of an hour from now."""
        from qdrant_client import models

        payload = {"owner": self._owner, "until": time.time() + LEASE_SECONDS}
        self._client.upsert(self._name, [models.PointStruct(id=_LEASE, vector={}, payload=payload)], wait=True)

    def held(self) -> bool:
        """Whether nobody else has taken it since."""
        found = self._client.retrieve(self._name, [_LEASE])
        return bool(found and (found[0].payload or {}).get("owner") == self._owner)

    def release(self) -> None:
        """Let go; a server that has gone lets go by time."""
        with suppress(Exception):
            if self.held():
                self._client.delete_collection(self._name)


class QdrantWriter(Writer):
    """A generation of index `name` being built; `lease` is let go at the end."""

    def __init__(
        self,
        name: str,
        client: QdrantClient,
        lease: Lease,
        dimension: int,
        fresh: bool,
        committed: Callable[[], object],
    ) -> None:
        self._name, self._lease, self._client = name, lease, client
        self._on_commit = committed
        current = aliased(client, name)
        drop_generations(self._client, name, keep=(current,) if current else ())
        generation = next_generation(current.rpartition(".")[2] if current else "")
        self._collection = f"{name}.{generation}"
        self._released = False
        try:
            _create(self._client, self._collection, dimension)
            if current and not fresh:
                for suffix in ("", ".texts"):
                    self._copy(current + suffix, self._collection + suffix)
        except BaseException:
            self._drop()
            raise

    def _copy(self, old: str, new: str) -> None:
        for points in _scroll(self._client, old):
            self._lease.renew()
            self._client.upsert(new, points, wait=True)

    def upsert(self, passages: Sequence[Passage], dense: NDArray[np.float32], sparse: Sequence[SparseVector]) -> None:
        """Add or replace passages."""
        from qdrant_client import models

        points = [
            models.PointStruct(
                id=passage.id,
                vector={
                    "dense": vector.tolist(),
                    "sparse": models.SparseVector(indices=list(terms.indices), values=list(terms.values)),
                },
                payload=to_payload(passage),
            )
            for passage, vector, terms in zip(passages, dense, sparse, strict=True)
        ]
        with engine_errors(WRITE):
            self._lease.renew()
            for start in range(0, len(points), BATCH):
                self._client.upsert(self._collection, points[start : start + BATCH], wait=True)

    def put_text(self, text: str) -> str:
        """Keep a text as a point without vectors."""
        from qdrant_client import models

        name = text_hash(text)
        point = models.PointStruct(id=text_id(name), vector={}, payload={"text": text, "sha256": name})
        with engine_errors(WRITE):
            self._client.upsert(f"{self._collection}.texts", [point], wait=True)
        return name

    def delete_source(self, source: str) -> None:
        """Remove a document's passages."""
        from qdrant_client import models

        with engine_errors(WRITE):
            chosen = models.FilterSelector(filter=from_sources([source]))
            self._client.delete(self._collection, chosen, wait=True)

    def commit(self, manifest: Manifest) -> Manifest:
        """Move the alias to this generation."""
        from qdrant_client import models

        manifest = replace(manifest, generation=self._collection.rpartition(".")[2])
        with engine_errors(WRITE):
            self._drop_texts(manifest)
            point = models.PointStruct(id=MANIFEST_ID, vector={}, payload={"manifest": dump(manifest)})
            self._client.upsert(f"{self._collection}.texts", [point], wait=True)
            old = aliased(self._client, self._name)
            if not self._lease.held():
                raise IndexLocked(WRITE, "the lock ran out and another process took it", "Index again")
            created = models.CreateAlias(collection_name=self._collection, alias_name=self._name)
            removed = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._name))
            added = models.CreateAliasOperation(create_alias=created)
            self._client.update_collection_aliases([removed, added] if old else [added])
            self._on_commit()
            drop_generations(self._client, self._name, keep=(self._collection, old or ""))
        return manifest

    def _drop_texts(self, manifest: Manifest) -> None:
        from qdrant_client import models

        needed = {text_id(entry.text) for entry in manifest.documents.values()}
        for points in _scroll(self._client, f"{self._collection}.texts"):
            gone = [point.id for point in points if str(point.id) not in needed]
            if gone:
                self._client.delete(f"{self._collection}.texts", models.PointIdsList(points=gone), wait=True)

    def discard(self) -> None:
        """Drop what was not committed, and let go of the lock."""
        if self._released:
            return
        self._released = True
        with suppress(Exception):  # the server says what happened; when it does not answer, nothing is dropped
            if aliased(self._client, self._name) != self._collection:
                self._drop()
        self._lease.release()

    def _drop(self) -> None:
        for suffix in ("", ".texts"):
            with suppress(Exception):  # what a lost server keeps, the next writer drops
                self._client.delete_collection(self._collection + suffix)


def drop_generations(client: QdrantClient, name: str, keep: Sequence[str]) -> None:
    """Delete the collections of index `name` except those in `keep` and their texts."""
    for found in client.get_collections().collections:
        base = found.name.removesuffix(".texts")
        prefix, _, generation = base.rpartition(".")
        if prefix == name and is_generation(generation) and base not in keep:
            client.delete_collection(found.name)


def _create(client: QdrantClient, collection: str, dimension: int) -> None:
    from qdrant_client import models

    client.create_collection(
        collection,
        vectors_config={"dense": models.VectorParams(size=dimension, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    client.create_collection(f"{collection}.texts", vectors_config={})
    with warnings.catch_warnings():  # the client in memory says that it has no payload indexes
        warnings.simplefilter("ignore")
        client.create_payload_index(collection, "source", models.PayloadSchemaType.KEYWORD)


def _scroll(client: QdrantClient, collection: str) -> Iterator[list[Any]]:
    """All points of a collection with their vectors, ready to be upserted elsewhere."""
    from qdrant_client import models

    offset: Any = None
    while True:
        records, offset = client.scroll(collection, limit=BATCH, offset=offset, with_payload=True, with_vectors=True)
        if records:
            yield [models.PointStruct(id=r.id, vector=cast("Any", r.vector or {}), payload=r.payload) for r in records]
        if offset is None:
            return


def from_sources(sources: Sequence[str]) -> Any:
    """A filter for the passages of some documents."""
    from qdrant_client import models

    return models.Filter(must=[models.FieldCondition(key="source", match=models.MatchAny(any=list(sources)))])


def text_id(digest: str) -> str:
    """The id of the point that holds a text."""
    return str(uuid5(NAMESPACE_URL, f"hearth:text:{digest}"))
