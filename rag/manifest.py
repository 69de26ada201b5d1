"""The manifest: what an index says of itself. One JSON object, checked strictly when it is read.

It names the generation that answers, the embedding model, how documents were cut, and every document with its
hash. Knows no store and no folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from rag.errors import IndexMismatch, StoreFailed

if TYPE_CHECKING:
    from rag.embed import Embedder

SCHEMA = 1
STEP = "opening the knowledge base"
REBUILD = "Index the documents again from scratch (rebuild)"
_GENERATION = re.compile(r"\d{6}-[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One document of an index.

    Attributes:
        hash: sha256 of the file's bytes, hex.
        text: sha256 of the extracted text, hex; the store keeps the text under it.
        passages: how many; 0 for a duplicate.
        mtime_ns, size: of the file when it was read, nanoseconds and bytes; equal ones save hashing it again.
        path: absolute, where the file was.
        duplicate_of: the source that holds the passages when another file has the same bytes.
        tenant, readers: who may see it.
    """

    hash: str
    text: str
    passages: int
    title: str
    mtime_ns: int
    size: int
    path: str
    duplicate_of: str = ""
    tenant: str = ""
    readers: tuple[str, ...] = ()


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

    @property
    def passages(self) -> int:
        """Passages of all documents together."""
        return sum(entry.passages for entry in self.documents.values())

    def check(self, embedder: Embedder) -> None:
        """Raises IndexMismatch when this index was made by another embedding model."""
        if (self.embedder, self.dimension, self.sha256) == (embedder.name, embedder.dimension, embedder.sha256):
            return
        if self.embedder == embedder.name:
            cause = f"it was made by another version of {self.embedder} ({self.sha256[:12]}…)"
            raise IndexMismatch(STEP, cause, REBUILD)
        cause = f"it was made by {self.embedder} ({self.dimension} dimensions), not by {embedder.name}"
        raise IndexMismatch(STEP, cause, f"Set HEARTH_RAG_EMBEDDER={self.embedder}, or: {REBUILD}")


def is_generation(name: str) -> bool:
    """Whether `name` is one that `next_generation` makes; anything else must not become a path."""
    return _GENERATION.fullmatch(name) is not None


def next_generation(current: str) -> str:
    """A fresh name that sorts after `current` (empty for the first)."""
    import secrets

    number = int(current.partition("-")[0] or 0) + 1
    return f"{number:06d}-{secrets.token_hex(4)}"


def dump(manifest: Manifest) -> str:
    """JSON with a checksum of itself; ASCII, since a path may hold bytes that are no UTF-8."""
    body = asdict(manifest)
    return json.dumps({"checksum": _checksum(body), **body}, indent=1)


def parse(text: str | bytes) -> Manifest:
    """The manifest in `text`.

    Raises:
        IndexMismatch: another schema wrote it.
        StoreFailed: it is damaged or was tampered with.
    """
    try:
        body = json.loads(text)
        checksum = body.pop("checksum")
        if body.get("schema") != SCHEMA:
            cause = f"it has schema {str(body.get('schema'))[:20]}, this version reads {SCHEMA}"
            raise IndexMismatch(STEP, cause, REBUILD)
        if checksum != _checksum(body):
            raise ValueError("the checksum does not match")
        entries = {str(k): _typed(DocumentEntry, v) for k, v in body["documents"].items()}
        body["documents"] = {k: replace(entry, readers=tuple(entry.readers)) for k, entry in entries.items()}
        manifest: Manifest = _typed(Manifest, body)
        if not is_generation(manifest.generation):
            raise ValueError("the generation has an impossible name")
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreFailed(STEP, f"the manifest is damaged: {str(error)[:100]}", REBUILD) from error


def _checksum(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _typed(cls: type[Any], values: Mapping[str, Any]) -> Any:
    kinds = {"int": int, "str": str}
    for known in fields(cls):
        kind = kinds.get(str(known.type))
        if kind is not None and type(values[known.name]) is not kind:
            raise TypeError(f"{known.name} is not of type {known.type}")
    return cls(**values)
