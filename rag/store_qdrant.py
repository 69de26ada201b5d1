"""`QdrantStore`: an index on a Qdrant server, or in this process's memory through the same client.

    <name>                      alias of the collection that answers
    <name>.<generation>         passages, of that generation and of those that followed it without starting afresh
    <name>.<generation>.texts   documents' texts, manifests, and the pointer to the generation that answers
    <name>.lock                 exists while somebody writes

The client's own folder mode (`QdrantClient(path=...)`) is never used: it keeps pickles. What the generation before
the current one showed stays, for readers that have not yet moved on.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from decoder.errors import MissingExtra, SettingsError
from rag.errors import StoreFailed
from rag.filters import Where
from rag.manifest import Manifest, is_generation
from rag.settings import RagSettings, is_index_name
from rag.sparse import SparseVector
from rag.store import Point, Scored, Store, Writer, check_text, known_ids, no_index, ranked, unknown_source
from rag.store_qdrant_errors import check_version, qdrant_errors
from rag.store_qdrant_filter import seen_by, visible
from rag.store_qdrant_lease import WRITE, Lease
from rag.store_qdrant_options import search_params
from rag.store_qdrant_points import BATCH, PAGE, passage_of, point_of
from rag.store_qdrant_texts import AGAIN, OPEN, generation_number, get_manifest, get_text, read_pointer
from rag.store_qdrant_writer import QdrantWriter, aliased, drop_collections
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient

READ = "reading the index"
TRIES = 3
"""To read a manifest that writers replace meanwhile."""
HERE = ("localhost", "127.0.0.1", "::1")


def connect(settings: RagSettings) -> QdrantClient:
    """A client for the settings' server, or for this process's memory; nothing is sent yet."""
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingExtra("connecting to Qdrant", "qdrant-client", "rag") from error
    if settings.store == "memory":
        return cast("QdrantClient", _OneAtATime(QdrantClient(":memory:")))
    try:
        with warnings.catch_warnings():
            if urlsplit(settings.qdrant_url).hostname in HERE:  # a key over plain HTTP stays on this machine
                warnings.simplefilter("ignore")
            return QdrantClient(
                settings.qdrant_url,
                api_key=settings.api_key or None,
                timeout=max(1, round(settings.timeout)),
                prefer_grpc=settings.qdrant_grpc,
                grpc_port=settings.qdrant_grpc_port,
                check_compatibility=False,  # `check_version` does, without a thread
            )
    except ValueError as error:
        cause = f"rag.qdrant_url is {settings.qdrant_url!r}"
        raise SettingsError("connecting to Qdrant", cause, "Give one as http://127.0.0.1:6333") from error


class _OneAtATime:
    """The client's memory, which is not made for several threads, called by one of them at a time."""

    def __init__(self, client: QdrantClient) -> None:
        self._client, self._lock = client, threading.RLock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                return found(*arguments, **options)

        return call


def index_names(client: QdrantClient) -> list[str]:
    """The indexes on a server: aliases of collections that are named as ours are."""
    with qdrant_errors(OPEN):
        aliases = client.get_aliases().aliases
    return sorted(a.alias_name for a in aliases if is_index_name(a.alias_name) and _is_ours(a.alias_name, a))


def _is_ours(name: str, alias: Any) -> bool:
    prefix, _, generation = alias.collection_name.rpartition(".")
    return bool(prefix == name and is_generation(generation))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The generation that a store reads, and what searching it needs to know."""

    collection: str
    number: int
    manifest: Manifest
    passages: int


class QdrantStore(Store):
    """The index `name` behind `client`, which need not exist yet."""

    def __init__(self, name: str, client: QdrantClient, settings: RagSettings | None = None) -> None:
        self.name, self.client = name, client
        self._settings = settings or RagSettings(store="memory")
        self._checked = self._settings.store == "memory"
        self._current: _Reading | None = None

    def refresh(self) -> bool:
        """Look where alias and pointer lead; True when there is a generation."""
        if not self._checked:
            check_version(self.client)
            self._checked = True
        with qdrant_errors(OPEN):
            self._current = self._look()
        return self._current is not None

    def _look(self) -> _Reading | None:
        for _ in range(TRIES):
            collection = aliased(self.client, self.name)
            if collection is None:
                return None
            pointer, now = read_pointer(self.client, collection), self._current
            if now and (now.collection, now.manifest.generation) == (collection, pointer.generation):
                return now
            manifest = get_manifest(self.client, collection, pointer.generation)
            if manifest is not None:
                return _Reading(collection, generation_number(manifest.generation), manifest, manifest.passages)
        raise StoreFailed(OPEN, "the manifest is missing", AGAIN)

    def _reading(self) -> _Reading:
        if self._current is None:
            self.refresh()
        if self._current is None:
            raise no_index(self.name)
        return self._current

    def manifest(self) -> Manifest:
        """Of the generation being read."""
        return self._reading().manifest

    def count(self) -> int:
        """Passages in the index."""
        now = self._reading()
        with qdrant_errors(READ):
            return self.client.count(now.collection, count_filter=visible(now.number), exact=True).count

    def search_dense(self, vector: NDArray[np.float32], limit: int, where: Where | None = None) -> list[Scored]:
        """Cosine search: exact up to `qdrant_exact_below` passages, through the graph above."""
        return self._search(vector.tolist(), "dense", limit, where)

    def search_sparse(self, vector: SparseVector, limit: int, where: Where | None = None) -> list[Scored]:
        """BM25 search, always exact."""
        from qdrant_client import models

        if not vector.indices:
            return []
        query = models.SparseVector(indices=list(vector.indices), values=list(vector.values))
        return [scored for scored in self._search(query, "sparse", limit, where) if scored[1] > 0]

    def _search(self, query: Any, using: str, limit: int, where: Where | None) -> list[Scored]:
        now = self._reading()
        with qdrant_errors(READ):
            answer = self.client.query_points(
                now.collection,
                query=query,
                using=using,
                limit=limit,
                query_filter=visible(now.number, where),
                search_params=search_params(self._settings, now.passages, dense=using == "dense"),
                with_payload=True,
            )
        return ranked([(passage_of(point.payload), point.score) for point in answer.points], limit)

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """Passages by id, in the order given."""
        now, wanted = self._reading(), known_ids(ids)
        found: dict[str, Passage] = {}
        with qdrant_errors(READ):
            for start in range(0, len(wanted), PAGE):
                part = wanted[start : start + PAGE]
                records, _ = self.client.scroll(now.collection, seen_by(now.number, "id", part), limit=PAGE)
                found.update((passage.id, passage) for passage in (passage_of(r.payload) for r in records))
        return [found[key] for key in wanted if key in found]

    def points(self, sources: Sequence[str] | None = None) -> Iterator[Point]:
        """Every passage with its vectors, page by page."""
        now = self._reading()
        chosen = visible(now.number) if sources is None else seen_by(now.number, "source", sources)
        offset: Any = None
        while True:
            with qdrant_errors(READ):
                records, offset = self.client.scroll(
                    now.collection, chosen, limit=BATCH, offset=offset, with_payload=True, with_vectors=True
                )
            yield from map(point_of, records)
            if offset is None:
                return

    def text(self, source: str) -> str:
        """A document's text, checked against its hash."""
        now = self._reading()
        entry = now.manifest.documents.get(source)
        if entry is None:
            raise unknown_source(source)
        with qdrant_errors("opening a document"):
            text = get_text(self.client, now.collection, entry.text) or ""
        return check_text(text.encode("utf-8", "surrogatepass"), entry.text, source)

    def generation(self, dimension: int, fresh: bool = False) -> Writer:
        """Begin a generation; raises IndexLocked."""
        lease = Lease(self.client, self.name)
        try:
            with qdrant_errors(WRITE):
                return QdrantWriter(self.name, self.client, lease, dimension, fresh, self.refresh, self._settings)
        except BaseException:
            lease.release()
            raise

    def delete(self) -> None:
        """Remove the alias and every collection of this index."""
        from qdrant_client import models

        lease = Lease(self.client, self.name)
        try:
            with qdrant_errors(WRITE):
                if aliased(self.client, self.name) is None:
                    raise no_index(self.name)
                gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self.name))
                self.client.update_collection_aliases([gone])
                drop_collections(self.client, self.name, keep=())
        finally:
            lease.release()
        self._current = None

    def close(self) -> None:
        """Close the connection."""
        self.client.close()
