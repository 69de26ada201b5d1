"""Documents' texts and generations' manifests on a Qdrant server: points without vectors in `<collection>.texts`.

A long one is cut into parts that fit a request. One point, `POINTER`, names the generation that answers: writing it
is the switch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from rag.errors import IndexMismatch, StoreFailed
from rag.manifest import Manifest, dump, parse
from rag.store_qdrant_filter import born_in

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

POINTER = str(uuid5(NAMESPACE_URL, "hearth:manifest"))
PART = 1_000_000
"""Characters of one part: with four bytes each it stays far below the 32 MiB of a request."""
PAGE = 1000
OPEN, AGAIN = "opening the knowledge base", "Index the documents again from scratch (rebuild)"
MOST_OLDER = 8


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which generation answers, and the names of some before it, latest first.

    Attributes:
        before: the collection of the generation before it.
    """

    generation: str
    older: tuple[str, ...] = ()
    before: str = ""


def put_text(client: QdrantClient, collection: str, key: str, text: str, born: int) -> None:
    """Keep `text` under `key`, its first part last, so that a text which begins is whole."""
    from qdrant_client import models

    parts = [text[start : start + PART] for start in range(0, len(text), PART)] or [""]
    for number, part in reversed(list(enumerate(parts))):
        payload = {"key": key, "text": part, "parts": len(parts), "born": born}
        point = models.PointStruct(id=text_id(key, number), vector={}, payload=payload)
        client.upsert(f"{collection}.texts", [point], wait=True)


def has_text(client: QdrantClient, collection: str, key: str) -> bool:
    """Whether there is a text of this key."""
    return bool(client.retrieve(f"{collection}.texts", [text_id(key)], with_payload=False))


def get_text(client: QdrantClient, collection: str, key: str) -> str | None:
    """The text of this key; None when it is not there, or not whole."""
    first = client.retrieve(f"{collection}.texts", [text_id(key)])
    if not first:
        return None
    payload = first[0].payload or {}
    texts = [str(payload.get("text", ""))]
    for number in range(1, int(payload.get("parts", 1))):
        found = client.retrieve(f"{collection}.texts", [text_id(key, number)])
        if not found:
            return None
        texts.append(str((found[0].payload or {}).get("text", "")))
    return "".join(texts)


def drop_texts(client: QdrantClient, collection: str, keys: Collection[str]) -> None:
    """Forget the texts of these keys, all their parts; unknown ones are none."""
    from qdrant_client import models

    listed = sorted(keys)
    for start in range(0, len(listed), PAGE):
        part = listed[start : start + PAGE]
        named = models.FieldCondition(key="key", match=models.MatchAny(any=part))
        chosen = models.FilterSelector(filter=models.Filter(must=[named]))
        client.delete(f"{collection}.texts", chosen, wait=True)


def new_texts(client: QdrantClient, collection: str, number: int) -> set[str]:
    """The keys of the texts that came with generation `number`."""
    found: set[str] = set()
    offset: Any = None
    while True:
        records, offset = client.scroll(
            f"{collection}.texts", born_in(number), limit=PAGE, offset=offset, with_payload=["key"]
        )
        found.update(str((record.payload or {}).get("key", "")) for record in records)
        if offset is None:
            return found


def put_manifest(client: QdrantClient, collection: str, manifest: Manifest) -> None:
    """Keep a generation's manifest, without switching to it."""
    key = manifest_key(manifest.generation)
    put_text(client, collection, key, dump(manifest), generation_number(manifest.generation))


def get_manifest(client: QdrantClient, collection: str, generation: str) -> Manifest | None:
    """A generation's manifest; None when it is no longer there. Raises StoreFailed, IndexMismatch."""
    text = get_text(client, collection, manifest_key(generation))
    return None if text is None else parse(text)


def point_to(client: QdrantClient, collection: str, pointer: Pointer) -> None:
    """Switch: from now on this generation answers."""
    from qdrant_client import models

    payload = {"generation": pointer.generation, "older": list(pointer.older[:MOST_OLDER]), "before": pointer.before}
    client.upsert(f"{collection}.texts", [models.PointStruct(id=POINTER, vector={}, payload=payload)], wait=True)


def read_pointer(client: QdrantClient, collection: str) -> Pointer:
    """Which generation answers. Raises StoreFailed when nothing says so, IndexMismatch for an old index."""
    found = client.retrieve(f"{collection}.texts", [POINTER])
    payload = (found[0].payload or {}) if found else {}
    if "manifest" in payload:  # it holds the manifest itself
        raise IndexMismatch(OPEN, "an older version of Hearth made it", AGAIN)
    if not isinstance(payload.get("generation"), str) or not isinstance(payload.get("older"), list):
        raise StoreFailed(OPEN, "the manifest is missing", AGAIN)
    return Pointer(payload["generation"], tuple(map(str, payload["older"])), str(payload.get("before", "")))


def manifest_key(generation: str) -> str:
    """The key that a generation's manifest is kept under."""
    return f"manifest:{generation}"


def generation_number(generation: str) -> int:
    """The number in a generation's name, which its passages are stamped with."""
    return int(generation.partition("-")[0])


def text_id(key: str, part: int = 0) -> str:
    """The id of the point that holds a part of a text."""
    return str(uuid5(NAMESPACE_URL, f"hearth:text:{key}:{part}" if part else f"hearth:text:{key}"))
