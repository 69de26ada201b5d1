"""What Ray's workers do: read and cut the documents of one file, embed a batch of passages and write it to the index.

Everything between the steps is one JSON text a row, so that nothing is unpickled from data. All writes are
idempotent: a worker that is killed is replaced, and what it had done is done again.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from decoder.errors import HearthError
from rag.chunk import chunk
from rag.errors import DocumentError, IndexMismatch, StoreUnreachable, UnsupportedFormat
from rag.labels import Labels
from rag.load import Reading, load_all, source_of
from rag.searchable import searchable
from rag.settings import RagSettings
from rag.sparse import sparse_documents
from rag.store import from_payload, to_payload
from rag.store_qdrant_points import Target
from rag.store_qdrant_remote import RemoteWriter
from rag.types import Document, Passage

if TYPE_CHECKING:
    from rag.embed import Embedder

T = TypeVar("T")
Row: TypeAlias = dict[str, str]
MakeEmbedder: TypeAlias = "Callable[[RagSettings], Embedder]"
TRIES = 6
WAIT_SECONDS = 0.5
"""Before the second try; doubled each time, half of it by chance: 15 seconds in all at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker has to know.

    Attributes:
        target: the generation to write to.
        make: makes the embedder on the worker's machine.
        reading: passwords and OCR, as the driver's settings have them.
        model: name, dimension and hash that the driver's embedder has; another one must not write.
    """

    settings: RagSettings
    target: Target
    make: MakeEmbedder
    reading: Reading
    model: tuple[str, int, str]


def read(row: Mapping[str, str], job: Job) -> list[Row]:
    """The rows of one file: passages, what the manifest is to say of its documents, and why others cannot be read."""
    file = json.loads(row["row"])
    try:
        return [_row({**each, "of": file["source"]}) for each in _read(file["source"], Path(file["path"]), file, job)]
    except HearthError as error:
        return [_row(_stop(error))]


def _read(source: str, path: Path, file: Mapping[str, Any], job: Job) -> Iterable[dict[str, Any]]:
    """A file's own document, or those of an archive's members; last of all, that it is done."""
    prefix, labels = source_of(path), Labels(**file["labels"])
    for place, found in enumerate(load_all(path, reading=job.reading)):
        name = source + found.source.removeprefix(prefix)
        if isinstance(found, UnsupportedFormat) and name != source:
            yield {"unsupported": name}
        elif isinstance(found, DocumentError):
            yield {"failed": str(found).replace(found.source, name), "source": name}
        else:
            yield from _document(replace(found, source=name), labels, place, job)
    yield {"done": source}


def _document(document: Document, labels: Labels, place: int, job: Job) -> Iterable[dict[str, Any]]:
    settings, embedder = job.settings, _embedder(job.make, job.settings)
    passages = labels.on(chunk(document, settings.chunk_tokens, settings.chunk_overlap, embedder.count), document)
    said = {
        "hash": document.content_hash,
        "text": patiently(lambda: _writer(settings, job.target).put_text(document.text)),
        "passages": len(passages),
        "title": document.title,
        "media_type": document.media_type,
    }
    yield {"document": said, "source": document.source, "place": place}
    for passage in passages:
        yield {"passage": to_payload(passage)}


class Embed:
    """An actor that holds the model: rows with passages in, rows that say how many were written for each source out."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Embed and write one batch, column `row`; other rows pass."""
        rows = [json.loads(text) for text in batch["row"]]
        others = [each for each in rows if "passage" not in each]
        passages = [from_payload(each["passage"]) for each in rows if "passage" in each]
        if passages:
            others.append(self._write(passages))
        return {"row": [json.dumps(each) for each in others]}

    def _write(self, passages: Sequence[Passage]) -> dict[str, Any]:
        try:
            embedder = _embedder(self.job.make, self.job.settings)
            check_model(embedder, self.job.model)
            texts = [searchable(passage) for passage in passages]
            dense, sparse = embedder.embed(texts), sparse_documents(texts)
            patiently(lambda: _writer(self.job.settings, self.job.target).upsert(passages, dense, sparse))
        except HearthError as error:
            return _stop(error)
        return {"written": Counter(passage.source for passage in passages)}


def check_model(embedder: Embedder, model: tuple[str, int, str]) -> None:
    """Raises IndexMismatch when this machine has other weights than the one that started the run."""
    found = (embedder.name, embedder.dimension, embedder.sha256)
    if found != model:
        cause = f"a worker has {found[0]} ({found[2][:12]}…), the driver {model[0]} ({model[2][:12]}…)"
        raise IndexMismatch("indexing with Ray", cause, "Install the same model on every machine")


def patiently(call: Callable[[], T]) -> T:
    """`call`, again while the store does not answer, for a while. Raises what its last try raised."""
    for attempt in range(TRIES - 1):
        try:
            return call()
        except StoreUnreachable:
            time.sleep(WAIT_SECONDS * 2**attempt * (0.5 + random.random() / 2))  # noqa: S311  # jitter, no secret
    return call()


@lru_cache(maxsize=1)
def _embedder(make: MakeEmbedder, settings: RagSettings) -> Embedder:
    return make(settings)


@lru_cache(maxsize=1)
def _writer(settings: RagSettings, target: Target) -> RemoteWriter:
    return RemoteWriter(settings, target)


def _stop(error: HearthError) -> dict[str, Any]:
    """An error that ends the run, as data: the driver raises it again."""
    return {"stop": [type(error).__name__, error.step, error.cause, error.remedy]}


def _row(value: dict[str, Any]) -> Row:
    return {"row": json.dumps(value)}
