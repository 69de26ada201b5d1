"""`Store`: where passages live and are searched, one small interface for every engine.

The only way to write is a generation at a time: `with store.generation(...) as writer` builds it aside,
`writer.commit(manifest)` switches to it in one step, and leaving without commit discards it, so that the old
generation answers until then and nothing is ever half there. What is written after a commit belongs to the next
generation of the same writer.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from uuid import UUID

from decoder.errors import HearthError, UsageError
from rag.errors import IndexNotFound, StoreFailed
from rag.filters import FIELDS, Where
from rag.manifest import Manifest
from rag.settings import RagSettings, check_index_name, index_folder, is_index_name
from rag.sparse import SparseVector
from rag.types import Passage, Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scored: TypeAlias = tuple[Passage, float]


@dataclass(frozen=True, slots=True)
class Point:
    """A passage with its vectors as they are stored; `dense` has shape [dimension], and is None while it is pending."""

    passage: Passage
    dense: NDArray[np.float32] | None
    sparse: SparseVector


class Writer(ABC):
    """A generation that is being built. Use it in a `with` block, from one thread."""

    @abstractmethod
    def upsert(
        self, passages: Sequence[Passage], dense: NDArray[np.float32] | None, sparse: Sequence[SparseVector]
    ) -> None:
        """Add or replace passages. A document that is written anew is taken out first. Raises StoreFailed.

        Args:
            dense: shape [len(passages), dimension]; None for passages that are to be found by their words alone.
        """

    @abstractmethod
    def put_text(self, text: str) -> str:
        """Keep a document's text and return the sha256 that its entry in the manifest refers to it by."""

    @abstractmethod
    def delete_source(self, source: str) -> None:
        """Remove a document's passages; unknown sources are none."""

    @abstractmethod
    def commit(self, manifest: Manifest) -> Manifest:
        """Switch to this generation; returns the manifest as it was written. Texts that it does not name go.

        The writer may go on: what follows is the next generation.
        """

    @abstractmethod
    def discard(self) -> None:
        """Give the generation up, or let go of the lock after a commit; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.discard()


class Store(ABC):
    """An index. Reading is safe from several threads; every method may raise StoreFailed.

    Readers see the generation that was current when the store was opened or last refreshed.
    """

    @abstractmethod
    def refresh(self) -> bool:
        """Look for a newer generation and move to it; True when there is any generation to read."""

    @abstractmethod
    def manifest(self) -> Manifest:
        """Of the generation being read. Raises IndexNotFound when there is none yet."""

    @abstractmethod
    def count(self) -> int:
        """Passages in the index."""

    @abstractmethod
    def search_dense(self, vector: NDArray[np.float32], limit: int, where: Where | None = None) -> list[Scored]:
        """The nearest passages with their cosine similarity, best first; exact unless the index is large.

        Args:
            vector: shape [dimension].
            where: what may be found; it holds inside the search, so that `limit` is of what may.
        """

    @abstractmethod
    def search_sparse(self, vector: SparseVector, limit: int, where: Where | None = None) -> list[Scored]:
        """The passages with the highest BM25 score (above 0), best first; inverse frequencies over all passages."""

    @abstractmethod
    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """Passages by id, in the order given, unknown ones left out."""

    @abstractmethod
    def points(self, sources: Sequence[str] | None = None) -> Iterator[Point]:
        """Every passage with its vectors, of all documents or of some, in no particular order."""

    @abstractmethod
    def text(self, source: str) -> str:
        """A document's text, to which offsets and lines refer. Raises UsageError for an unknown source."""

    @abstractmethod
    def generation(self, dimension: int, fresh: bool = False) -> Writer:
        """Begin a generation: a copy of the current one, or an empty one when `fresh`.

        Raises:
            IndexLocked: another writer is at work.
        """

    @abstractmethod
    def delete(self) -> None:
        """Remove the whole index. Raises IndexLocked while it is being written."""

    def check_files(self) -> list[str]:
        """What is wrong with the files beneath, in words; a server looks after its own."""
        return []

    def salvage(self) -> list[str]:
        """Make an index that cannot be opened one that can, without its damaged parts; what was wrong, in words."""
        return []

    def size(self) -> int | None:
        """Bytes on the disk; None where a server knows better."""
        return None

    def close(self) -> None:  # noqa: B027  # most stores hold nothing that must be let go
        """Let go of files and connections."""


def open_store(name: str, settings: RagSettings) -> Store:
    """The index of this name, which need not exist yet; raises UsageError for an impossible name."""
    check_index_name(name)
    if settings.store == "edge":
        from rag.store_edge import EdgeStore

        return EdgeStore(index_folder(settings) / name, settings.graph)
    from rag.store_qdrant import QdrantStore, connect

    return QdrantStore(name, connect(settings), settings)


def list_indexes(settings: RagSettings) -> list[str]:
    """The names of the indexes that there are, sorted. Raises StoreFailed when a server does not answer."""
    if settings.store == "edge":
        folder = index_folder(settings)
        return sorted(path.parent.name for path in folder.glob("*/manifest.json") if is_index_name(path.parent.name))
    from rag.store_qdrant import connect, index_names

    return index_names(connect(settings))


PASSAGE_FIELDS = tuple(each.name for each in fields(Passage))


def to_payload(passage: Passage) -> dict[str, Any]:
    """Everything of a passage, as JSON, so that it can be rebuilt from the store alone, and `facts` to filter by."""
    metadata = {key: list(value) if isinstance(value, tuple) else value for key, value in passage.metadata.items()}
    lists = {"heading": list(passage.heading), "readers": list(passage.readers), "metadata": metadata}
    return {name: getattr(passage, name) for name in PASSAGE_FIELDS} | lists | {"facts": facts(passage)}


def facts(passage: Passage) -> list[str]:
    """What equality is asked of, as texts: fields of the passage and its metadata, one for each item of a list."""
    known = {name: getattr(passage, name) for name in FIELDS if name != "source"}
    found = []
    for name, value in {**known, **passage.metadata}.items():
        items = value if isinstance(value, tuple) else () if value is None or value == "" else (value,)
        found += [fact(name, item) for item in items]
    return found


def fact(field: str, value: Value) -> str:
    """One of `facts`: "year=2020", "draft=true"; a text in quotes, so that "2020" is not the number."""
    if isinstance(value, bool):
        return f"{field}={str(value).lower()}"
    if isinstance(value, str):
        return f'{field}="{value}"'
    return f"{field}={int(value) if float(value).is_integer() else value!r}"


def from_payload(payload: Mapping[str, Any] | None) -> Passage:
    """The passage in a payload; raises StoreFailed when it is not one."""
    try:
        known = dict(payload or {})
        known.pop("facts", None)
        known["heading"], known["readers"] = tuple(known["heading"]), tuple(known.get("readers", ()))
        metadata = known.get("metadata", {}).items()
        known["metadata"] = {key: tuple(value) if isinstance(value, list) else value for key, value in metadata}
        return Passage(**known)
    except (TypeError, KeyError, AttributeError) as error:
        raise StoreFailed("reading the index", "a passage is damaged", "Run `hearth kb repair`") from error


def known_ids(ids: Sequence[str]) -> list[str]:
    """Those of `ids` that can be a passage's; engines refuse a whole request for one that is no UUID."""

    def is_uuid(value: str) -> bool:
        try:
            return str(UUID(value)) == value
        except ValueError:
            return False

    return [value for value in dict.fromkeys(ids) if is_uuid(value)]


def text_hash(text: str) -> str:
    """sha256 of a text, hex. Lone surrogates, which some parsers leave, are kept as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_text(data: bytes, expected: str, source: str) -> str:
    """`data` as text; raises StoreFailed when it is not what was stored."""
    if hashlib.sha256(data).hexdigest() != expected:
        raise StoreFailed("opening a document", f"the stored text of {source} is damaged", "Index it again")
    return data.decode("utf-8", "surrogatepass")


def no_index(name: str) -> IndexNotFound:
    """The error for an index that has no generation yet."""
    return IndexNotFound("opening the knowledge base", f"there is none called {name!r}", "Index some documents first")


def unknown_source(source: str) -> UsageError:
    """The error for a document that the index does not hold."""
    return UsageError("opening a document", f"{source!r} is not in this knowledge base", "List its documents")


def ranked(found: Sequence[Scored], limit: int) -> list[Scored]:
    """Best first; equal scores in order of id, so that every run answers alike."""
    return sorted(found, key=lambda scored: (-scored[1], scored[0].id))[:limit]


@contextmanager
def engine_errors(step: str) -> Iterator[None]:
    """Whatever an engine raises becomes StoreFailed; our own errors pass."""
    try:
        yield
    except HearthError:
        raise
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise StoreFailed(
            step, lines[0][:200].rstrip("."), "See whether the disk is full or the server is down"
        ) from error
