"""`QdrantStore`: an index on a Qdrant server, or in this process's memory through the same client.

    <name>                      alias of the collection that answers; moved in one step
    <name>.<generation>         passages of one generation
    <name>.<generation>.texts   its documents' texts and its manifest
    <name>.lock                 exists while somebody writes

The client's own folder mode (`QdrantClient(path=...)`) is never used: it keeps pickles. The generation before the
current one stays, for readers that have not yet moved on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from decoder.errors import MissingExtra
from rag.errors import StoreFailed
from rag.filters import Where
from rag.manifest import Manifest, is_generation, parse
from rag.settings import RagSettings, is_index_name
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
from rag.store_qdrant_writer import (
    MANIFEST_ID,
    WRITE,
    Lease,
    QdrantWriter,
    aliased,
    drop_generations,
    text_id,
)
from rag.store_where import qdrant_filter
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient

READ, OPEN = "reading the index", "opening the knowledge base"


def connect(settings: RagSettings) -> QdrantClient:
    """A client for the settings' server, or for this process's memory."""
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingExtra("connecting to Qdrant", "qdrant-client", "rag") from error
    if settings.store == "memory":
        return QdrantClient(":memory:")
    key, timeout = settings.api_key or None, max(1, round(settings.timeout))
    return QdrantClient(settings.qdrant_url, api_key=key, timeout=timeout, check_compatibility=False)


def index_names(client: QdrantClient) -> list[str]:
    """The indexes on a server: aliases of collections that are named as ours are."""
    with engine_errors(OPEN):
        aliases = client.get_aliases().aliases
    return sorted(a.alias_name for a in aliases if is_index_name(a.alias_name) and _is_ours(a.alias_name, a))


def _is_ours(name: str, alias: Any) -> bool:
    prefix, _, generation = alias.collection_name.rpartition(".")
    return bool(prefix == name and is_generation(generation))


class QdrantStore(Store):
    """The index `name` behind `client`, which need not exist yet."""

    def __init__(self, name: str, client: QdrantClient, in_memory: bool = False) -> None:
        self.name, self.client, self._in_memory = name, client, in_memory
        self._current: tuple[str, Manifest] | None = None

    def refresh(self) -> bool:
        """Look where the alias points; True when there is a generation."""
        with engine_errors(OPEN):
            collection = aliased(self.client, self.name)
            if collection is None:
                self._current = None
            elif self._current is None or self._current[0] != collection:
                found = self.client.retrieve(f"{collection}.texts", [MANIFEST_ID])
                if not found:
                    raise StoreFailed(OPEN, "the manifest is missing", "Index the documents again")
                self._current = collection, parse((found[0].payload or {}).get("manifest", ""))
        return self._current is not None

    def _reading(self) -> tuple[str, Manifest]:
        if self._current is None:
            self.refresh()
        if self._current is None:
            raise no_index(self.name)
        return self._current

    def manifest(self) -> Manifest:
        """Of the generation being read."""
        return self._reading()[1]

    def count(self) -> int:
        """Passages in the index."""
        collection, _ = self._reading()
        with engine_errors(READ):
            return self.client.count(collection, exact=True).count

    def search_dense(self, vector: NDArray[np.float32], limit: int, where: Where | None = None) -> list[Scored]:
        """Exact cosine search."""
        return self._search(vector.tolist(), "dense", limit, where)

    def search_sparse(self, vector: SparseVector, limit: int, where: Where | None = None) -> list[Scored]:
        """BM25 search."""
        from qdrant_client import models

        if not vector.indices:
            return []
        query = models.SparseVector(indices=list(vector.indices), values=list(vector.values))
        return [scored for scored in self._search(query, "sparse", limit, where) if scored[1] > 0]

    def _search(self, query: Any, using: str, limit: int, where: Where | None) -> list[Scored]:
        from qdrant_client import models

        collection, _ = self._reading()
        with engine_errors(READ):
            answer = self.client.query_points(
                collection,
                query=query,
                using=using,
                limit=limit,
                query_filter=qdrant_filter(where),
                search_params=None if self._in_memory else models.SearchParams(exact=True),  # memory is always exact
                with_payload=True,
            )
        return ranked([(from_payload(point.payload), point.score) for point in answer.points], limit)

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """Passages by id, in the order given."""
        collection, _ = self._reading()
        wanted = known_ids(ids)
        with engine_errors(READ):
            records = self.client.retrieve(collection, wanted) if wanted else []
        found = {passage.id: passage for passage in (from_payload(record.payload) for record in records)}
        return [found[key] for key in wanted if key in found]

    def text(self, source: str) -> str:
        """A document's text, checked against its hash."""
        collection, manifest = self._reading()
        entry = manifest.documents.get(source)
        if entry is None:
            raise unknown_source(source)
        with engine_errors("opening a document"):
            records = self.client.retrieve(f"{collection}.texts", [text_id(entry.text)])
        text = (records[0].payload or {}).get("text", "") if records else ""
        return check_text(text.encode("utf-8", "surrogatepass"), entry.text, source)

    def generation(self, dimension: int, fresh: bool = False) -> Writer:
        """Begin a generation; raises IndexLocked."""
        lease = Lease(self.client, self.name)
        try:
            with engine_errors(WRITE):
                return QdrantWriter(self.name, self.client, lease, dimension, fresh, self.refresh)
        except BaseException:
            lease.release()
            raise

    def delete(self) -> None:
        """Remove the alias and every collection of this index."""
        from qdrant_client import models

        lease = Lease(self.client, self.name)
        try:
            with engine_errors(WRITE):
                if aliased(self.client, self.name) is None:
                    raise no_index(self.name)
                gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self.name))
                self.client.update_collection_aliases([gone])
                drop_generations(self.client, self.name, keep=())
        finally:
            lease.release()
        self._current = None

    def close(self) -> None:
        """Close the connection."""
        self.client.close()
