"""The manifest: what an index says of itself. One JSON object under a checksum, read strictly.

It names the generation that answers, the embedding model, how documents were cut, every document with its hash, and,
where the store keeps shards, which ones hold the passages. Knows no store and no folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from decoder.errors import HearthError
from rag.errors import IndexMismatch, StoreFailed
from rag.filters import check_metadata
from rag.types import Metadata

if TYPE_CHECKING:
    from rag.embed import Embedder

SCHEMA = 2
STEP = "opening the knowledge base"
REBUILD = "Index the documents again from scratch (rebuild)"
_GENERATION = re.compile(r"\d{6}-[0-9a-f]{8}", re.ASCII)
_HEAD = b'{"checksum": "'


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One document of an index.

    Attributes:
        hash: sha256 of the file's bytes, hex.
        text: sha256 of the extracted text, hex; the store keeps the text under it.
        passages: how many; 0 for a duplicate, and for an archive, whose members have their own entries.
        mtime_ns, size: of the file when it was read, nanoseconds and bytes; equal ones save hashing it again.
        path: absolute, where the file was; the URL of what was fetched.
        duplicate_of: the source that holds the passages when another file has the same bytes.
        pending: its passages have no dense vectors yet: words find it, meaning does not.
        media_type: such as "application/pdf".
        tenant, readers, metadata: as the user gave them; what the file says of itself is with its passages.
        member_of: the source of the archive that it stands in.
        validators: ETag and Last-Modified of a fetched page, to ask with next time; empty for files.
    """

    hash: str
    text: str
    passages: int
    title: str
    mtime_ns: int
    size: int
    path: str
    duplicate_of: str = ""
    pending: bool = False
    media_type: str = ""
    tenant: str = ""
    readers: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict, hash=False)
    member_of: str = ""
    validators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard of a store that keeps several: sealed, never written again.

    Attributes:
        passages: those that are alive; what `gone` took is not counted.
        sealed: passages when it was sealed.
        digest: of its files, to see whether they are what was sealed.
        gone: sources whose passages in it do not count any more.
        graph: it was given an HNSW graph, so that dense search in it is approximate.
    """

    name: str
    passages: int
    sealed: int
    digest: str
    gone: tuple[str, ...] = ()
    graph: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index holds and how it was made. `documents` maps source to entry."""

    embedder: str
    dimension: int
    sha256: str
    chunk_tokens: int
    chunk_overlap: int
    documents: Mapping[str, DocumentEntry] = field(default_factory=dict)
    generation: str = ""
    schema: int = SCHEMA
    shards: tuple[ShardEntry, ...] = ()

    @property
    def passages(self) -> int:
        """Passages of all documents together."""
        return sum(entry.passages for entry in self.documents.values())

    @property
    def pending(self) -> list[str]:
        """Sources that wait for their dense vectors, in order."""
        return [source for source, entry in self.documents.items() if entry.pending]

    def check(self, embedder: Embedder) -> None:
        """Raises IndexMismatch when this index was made by another embedding model."""
        if (self.embedder, self.dimension, self.sha256) == (embedder.name, embedder.dimension, embedder.sha256):
            return
        if self.embedder == embedder.name:
            cause = f"it was made by another version of {self.embedder} ({self.sha256[:12]}…)"
            raise IndexMismatch(STEP, cause, REBUILD)
        cause = f"it was made by {self.embedder} ({self.dimension} dimensions), not by {embedder.name}"
        raise IndexMismatch(STEP, cause, f"Set HEARTH_RAG_EMBEDDER={self.embedder}, or: {REBUILD}")


def unread(entry: DocumentEntry) -> DocumentEntry:
    """The entry of a file that has to be read again, with its name and its labels kept."""
    return replace(entry, hash="", passages=0, mtime_ns=0, pending=False, duplicate_of="")


def is_generation(name: str) -> bool:
    """Whether `name` is one that `next_generation` makes; anything else must not become a path."""
    return _GENERATION.fullmatch(name) is not None


def next_generation(current: str) -> str:
    """A fresh name that sorts after `current` (empty for the first)."""
    import secrets

    number = int(current.partition("-")[0] or 0) + 1
    return f"{number:06d}-{secrets.token_hex(4)}"


def dump(manifest: Manifest) -> str:
    """JSON with a checksum of its body; ASCII, since a path may hold bytes that are no UTF-8."""
    body = json.dumps(_plain(manifest))
    return f'{{"checksum": "{hashlib.sha256(body.encode("ascii")).hexdigest()}", "body": {body}}}'


def parse(text: str | bytes) -> Manifest:
    """The manifest in `text`.

    Raises:
        IndexMismatch: another schema wrote it.
        StoreFailed: it is damaged or was tampered with.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        head, _, rest = data.partition(b'", "body": ')
        if not head.startswith(_HEAD) or not rest.endswith(b"}"):
            _refuse_other_schema(data)
            raise ValueError("it is no manifest")
        if hashlib.sha256(rest[:-1]).hexdigest().encode() != head.removeprefix(_HEAD):
            raise ValueError("the checksum does not match")
        return from_body(json.loads(rest[:-1]))
    except HearthError as error:
        if isinstance(error, IndexMismatch):
            raise
        raise StoreFailed(STEP, f"the manifest is damaged: {error.cause[:100]}", REBUILD) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreFailed(STEP, f"the manifest is damaged: {str(error)[:100]}", REBUILD) from error


def from_body(body: dict[str, Any]) -> Manifest:
    """The manifest that `body` describes; raises IndexMismatch, ValueError, TypeError, KeyError or UsageError."""
    if body.get("schema") != SCHEMA:
        raise IndexMismatch(STEP, f"it has schema {str(body.get('schema'))[:20]}, this version reads {SCHEMA}", REBUILD)
    documents = {str(source): _document(entry) for source, entry in body["documents"].items()}
    shards = tuple(_typed(ShardEntry, {**entry, "gone": _texts(entry["gone"])}) for entry in body["shards"])
    manifest: Manifest = _typed(Manifest, {**body, "documents": documents, "shards": shards})
    if not all(is_generation(name) for name in (manifest.generation, *(shard.name for shard in shards))):
        raise ValueError("a generation has an impossible name")
    return manifest


def _refuse_other_schema(data: bytes) -> None:
    body = json.loads(data)
    if isinstance(body, dict) and "schema" in body:
        raise IndexMismatch(STEP, f"it has schema {str(body['schema'])[:20]}, this version reads {SCHEMA}", REBUILD)


def _plain(manifest: Manifest) -> dict[str, Any]:
    body = {known.name: getattr(manifest, known.name) for known in fields(manifest)}
    body["documents"] = {source: _sparse(entry) for source, entry in manifest.documents.items()}
    body["shards"] = [{known.name: getattr(s, known.name) for known in fields(s)} for s in manifest.shards]
    return body


def _sparse(entry: DocumentEntry) -> dict[str, Any]:
    """Fields of an entry without those that have their default: ten thousand of them are read and written at once."""
    return {name: value for name, default in _ENTRY_DEFAULTS if (value := getattr(entry, name)) != default}


def _document(values: Mapping[str, Any]) -> DocumentEntry:
    read = dict(values)
    for name in ("readers", "validators"):
        if name in read:
            read[name] = _texts(read[name])
    if "metadata" in read:
        read["metadata"] = check_metadata(read["metadata"])
    entry: DocumentEntry = _typed(DocumentEntry, read)
    return entry


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list holds something other than texts")
    return tuple(values)


_ENTRY_DEFAULTS = tuple(
    (known.name, {} if known.name == "metadata" else known.default) for known in fields(DocumentEntry)
)
_KINDS: Mapping[str, type] = {"int": int, "str": str, "bool": bool}


def _typed(cls: type[Any], values: Mapping[str, Any]) -> Any:
    for known in fields(cls):
        kind = _KINDS.get(str(known.type))
        if kind is None or (known.name not in values and known.default is not MISSING):
            continue
        if type(values[known.name]) is not kind:
            raise TypeError(f"{known.name} is not of type {known.type}")
    return cls(**values)
