"""Writing an index on a Qdrant server: a generation added to the collection that answers, or built in a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from decoder.errors import HearthError
from rag.manifest import Manifest, is_generation, next_generation
from rag.settings import RagSettings
from rag.sparse import SparseVector
from rag.store import Writer
from rag.store_qdrant_errors import qdrant_errors
from rag.store_qdrant_lease import WRITE, Lease
from rag.store_qdrant_options import collection_options, create_indexes, spread
from rag.store_qdrant_points import Target, purge, put_document_text, put_passages, remove_source, undo
from rag.store_qdrant_texts import (
    Pointer,
    drop_texts,
    generation_number,
    get_manifest,
    manifest_key,
    new_texts,
    point_to,
    put_manifest,
    read_pointer,
)
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient


def aliased(client: QdrantClient, name: str) -> str | None:
    """The collection that answers for index `name` now."""
    return next((a.collection_name for a in client.get_aliases().aliases if a.alias_name == name), None)


class QdrantWriter(Writer):
    """A generation of index `name` being built; `lease` is let go at the end.

    Attributes:
        target: what other processes need to write to the same generation.
    """

    def __init__(
        self,
        name: str,
        client: QdrantClient,
        lease: Lease,
        dimension: int,
        fresh: bool,
        committed: Callable[[], object],
        settings: RagSettings,
    ) -> None:
        self._client, self._lease, self._on_commit = client, lease, committed
        self._released = self._switching = False
        self._answering = aliased(client, name) or ""
        self._previous = _pointer(client, self._answering, fresh)
        drop_collections(client, name, keep=(self._answering, self._previous.before if self._previous else ""))
        self._begin(name, "" if fresh else self._answering)
        if self.target.older:
            undo(client, self.target.collection, self.target.number - 1)
        else:
            self._create(dimension, settings)

    def _begin(self, name: str, collection: str) -> None:
        """The next generation, in `collection` or, when that is empty, in one of its own."""
        self._generation = next_generation(self._previous.generation if self._previous else "")
        number, own = generation_number(self._generation), f"{name}.{self._generation}"
        self.target = Target(name, collection or own, number, bool(collection), self._lease.owner)

    def _create(self, dimension: int, settings: RagSettings) -> None:
        collection = self.target.collection
        try:
            self._client.create_collection(collection, **collection_options(settings, dimension))
            self._client.create_collection(f"{collection}.texts", vectors_config={}, **spread(settings))
            create_indexes(self._client, collection, settings)
        except BaseException:
            self._drop()
            raise

    def renew(self) -> None:
        """Keep the right to write while other processes work. Raises IndexLocked when it is lost."""
        self._lease.renew(now=True)

    def upsert(
        self, passages: Sequence[Passage], dense: NDArray[np.float32] | None, sparse: Sequence[SparseVector]
    ) -> None:
        """Add or replace passages; without `dense` they are found by their words alone until it follows."""
        self._lease.renew()
        put_passages(self._client, self.target, passages, dense, sparse)

    def put_text(self, text: str) -> str:
        """Keep a document's text."""
        return put_document_text(self._client, self.target, text)

    def delete_source(self, source: str) -> None:
        """Remove a document's passages."""
        self._lease.renew()
        remove_source(self._client, self.target, source)

    def commit(self, manifest: Manifest) -> Manifest:
        """Switch to this generation by one write: the pointer's, or the alias's where the collection is new.

        What is written afterwards is the next generation.
        """
        manifest = replace(manifest, generation=self._generation)
        client, target, previous = self._client, self.target, self._previous
        needed = {entry.text for entry in manifest.documents.values()}
        with qdrant_errors(WRITE):
            drop_texts(client, target.collection, new_texts(client, target.collection, target.number) - needed)
            put_manifest(client, target.collection, manifest)
            older = (previous.generation, *previous.older) if previous else ()
            pointer = Pointer(self._generation, older, self._answering)
            self._lease.renew(now=True)
            self._switching = True
            point_to(client, target.collection, pointer)
            if not target.older:
                self._move_alias()
            self._switching = False
            with suppress(HearthError):  # what cannot be tidied now is tidied by a later commit
                self._tidy(needed)
            self._previous, self._answering = pointer, target.collection
            self._begin(target.name, target.collection)
            self._on_commit()
        return manifest

    def _move_alias(self) -> None:
        from qdrant_client import models

        name = self.target.name
        created = models.CreateAlias(collection_name=self.target.collection, alias_name=name)
        removed = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
        added = models.CreateAliasOperation(create_alias=created)
        self._client.update_collection_aliases([removed, added] if self._answering else [added])

    def _tidy(self, needed: set[str]) -> None:
        """Drop what neither this generation nor the one before it shows: passages, texts, manifests, collections."""
        client, collection = self._client, self.target.collection
        with qdrant_errors(WRITE):
            drop_collections(client, self.target.name, keep=(collection, self._answering))
            if self._previous is None or not self.target.older:
                return
            purge(client, collection, generation_number(self._previous.generation))
            before = get_manifest(client, collection, self._previous.generation)
            kept = needed | {entry.text for entry in before.documents.values()} if before else needed
            for generation in self._previous.older:
                gone = get_manifest(client, collection, generation)
                if gone is not None:
                    texts = {entry.text for entry in gone.documents.values()}
                    drop_texts(client, collection, (texts - kept) | {manifest_key(generation)})

    def discard(self) -> None:
        """Undo what was not committed, and let go of the lock."""
        if self._released:
            return
        self._released = True
        if not self._switching:  # a switch that failed may yet have reached the server: the next writer finds out
            with suppress(Exception):  # the server says what happened; what it keeps, the next writer undoes
                self._lease.renew(now=True)  # not what another writer is doing
                if self.target.older:
                    undo(self._client, self.target.collection, self.target.number - 1)
                else:
                    self._drop()
        self._lease.release()

    def _drop(self) -> None:
        for suffix in ("", ".texts"):
            with suppress(Exception):  # what a lost server keeps, the next writer drops
                self._client.delete_collection(self.target.collection + suffix)


def _pointer(client: QdrantClient, answering: str, fresh: bool) -> Pointer | None:
    """Which generation answers now; a damaged index may be written over by a fresh one."""
    if not answering:
        return None
    try:
        return read_pointer(client, answering)
    except HearthError:
        if not fresh:
            raise
        return Pointer(answering.rpartition(".")[2])


def drop_collections(client: QdrantClient, name: str, keep: Sequence[str]) -> None:
    """Delete the collections of index `name` except those in `keep` and their texts."""
    for found in client.get_collections().collections:
        base = found.name.removesuffix(".texts")
        prefix, _, generation = base.rpartition(".")
        if prefix == name and is_generation(generation) and base not in keep:
            client.delete_collection(found.name)
