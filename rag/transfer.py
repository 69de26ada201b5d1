"""An index as one file, to be moved between machines and between stores: documents, passages and dense vectors.

The file is a ZIP of `manifest.json` (under its checksum), `documents.jsonl` (a document a line with its text and
passages) and `vectors.f32` (a row of little-endian float32 for each passage that has one, in the same order). Sparse
vectors are made again. What is read is checked against the manifest: such a file may come from anywhere.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from decoder.errors import UsageError
from rag.errors import IndexMismatch, StoreFailed
from rag.manifest import DocumentEntry, Manifest, dump, parse
from rag.searchable import searchable
from rag.sparse import sparse_documents
from rag.store import from_payload, text_hash, to_payload
from rag.types import Passage

if TYPE_CHECKING:
    from rag.store import Store, Writer

EXPORT, IMPORT = "exporting the knowledge base", "importing the knowledge base"
MANIFEST, DOCUMENTS, VECTORS = "manifest.json", "documents.jsonl", "vectors.f32"
MOST_LINE = 256 << 20
"""Bytes of one document's line."""
MOST_MANIFEST = 1 << 30
GENERATION = "000001-00000000"
"""Stands in the file in place of the generation, which means nothing elsewhere."""


def export_index(store: Store, file: Path, on_progress: Callable[[int, int], None] | None = None) -> Manifest:
    """Write the current generation to `file`, which must not exist yet. Raises UsageError, StoreFailed."""
    store.refresh()
    manifest = store.manifest()
    aside = file.with_name(f".{file.name}.part")
    if file.exists():
        raise UsageError(EXPORT, f"{file} exists", "Choose another name")
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            archive.writestr(MANIFEST, dump(replace(manifest, shards=(), generation=GENERATION)))
            with aside.with_suffix(".vectors").open("w+b") as vectors:
                with archive.open(DOCUMENTS, "w", force_zip64=True) as lines:
                    for done, source in enumerate(manifest.documents):
                        lines.write(_line(store, source, vectors))
                        if on_progress:
                            on_progress(done + 1, len(manifest.documents))
                archive.write(vectors.name, VECTORS)
        aside.replace(file)
    except OSError as error:
        raise StoreFailed(EXPORT, f"{file} cannot be written: {error.strerror}", "Free some space") from error
    finally:
        aside.unlink(missing_ok=True)
        aside.with_suffix(".vectors").unlink(missing_ok=True)
    return manifest


def _line(store: Store, source: str, vectors: IO[bytes]) -> bytes:
    points = sorted(store.points([source]), key=lambda point: (point.passage.start, point.passage.id))
    for point in points:
        if point.dense is not None:
            vectors.write(point.dense.astype("<f4").tobytes())
    vectors.flush()
    passages = [{k: v for k, v in to_payload(point.passage).items() if k != "facts"} for point in points]
    return json.dumps({"source": source, "text": store.text(source), "passages": passages}).encode() + b"\n"


def import_index(
    store: Store, file: Path, replace_it: bool = False, on_progress: Callable[[int, int], None] | None = None
) -> Manifest:
    """Make the index from an exported file.

    Raises:
        UsageError: the file is no export, or is damaged, or the index exists and `replace_it` is false.
        IndexMismatch: another version of Hearth wrote it.
    """
    if store.refresh() and not replace_it:
        raise UsageError(IMPORT, "a knowledge base of this name exists", "Choose another name, or replace it")
    try:
        with zipfile.ZipFile(file) as archive:
            if sorted(archive.namelist()) != sorted((MANIFEST, DOCUMENTS, VECTORS)):
                raise _damaged(file, "it holds other files than an export does")
            if archive.getinfo(MANIFEST).file_size > MOST_MANIFEST:
                raise _damaged(file, "its manifest is too large")
            manifest = parse(archive.read(MANIFEST))
            with archive.open(DOCUMENTS) as lines, archive.open(VECTORS) as vectors:
                return _read(store, manifest, file, lines, vectors, on_progress)
    except IndexMismatch:
        raise
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise _damaged(file, str(error)[:100] or type(error).__name__) from error
    except StoreFailed as error:
        if error.step == "opening the knowledge base":
            raise _damaged(file, error.cause) from error
        raise


def _read(
    store: Store,
    manifest: Manifest,
    file: Path,
    lines: IO[bytes],
    vectors: IO[bytes],
    on_progress: Callable[[int, int], None] | None,
) -> Manifest:
    left = dict(manifest.documents)
    with store.generation(manifest.dimension, fresh=True) as writer:
        for row in _rows(lines, file):
            source = row.get("source")
            if not isinstance(source, str) or source not in left:
                raise _damaged(file, f"it holds a document that its manifest does not: {str(source)[:100]}")
            _write(writer, row, source, left.pop(source), manifest.dimension, vectors, file)
            if on_progress:
                on_progress(len(manifest.documents) - len(left), len(manifest.documents))
        if left or vectors.read(1):
            raise _damaged(file, "documents are missing, or vectors are left over")
        return writer.commit(manifest)


def _rows(lines: IO[bytes], file: Path) -> Iterator[dict[str, Any]]:
    while line := lines.readline(MOST_LINE):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged(file, "a document is no JSON") from error
        if not isinstance(row, dict):
            raise _damaged(file, "a document is no object")
        yield row


def _write(
    writer: Writer,
    row: dict[str, Any],
    source: str,
    entry: DocumentEntry,
    dimension: int,
    vectors: IO[bytes],
    file: Path,
) -> None:
    import numpy as np

    text, payloads = row.get("text"), row.get("passages")
    if not isinstance(text, str) or not isinstance(payloads, list) or text_hash(text) != entry.text:
        raise _damaged(file, f"the text of {source} is not what its manifest says")
    passages = [_passage(payload, source, text, entry, file) for payload in payloads]
    if len({passage.id for passage in passages}) != entry.passages:
        raise _damaged(file, f"passages of {source} are missing")
    writer.put_text(text)
    dense = None
    if passages and not entry.pending:
        size = len(passages) * dimension * 4
        data = vectors.read(size)
        if len(data) != size:
            raise _damaged(file, "vectors are missing")
        dense = np.frombuffer(data, dtype="<f4").reshape(len(passages), dimension)
        if not np.allclose(np.einsum("ij,ij->i", dense, dense), 1, atol=1e-2):
            raise _damaged(file, f"a vector of {source} is damaged")
    writer.upsert(passages, dense, sparse_documents([searchable(passage) for passage in passages]))


def _passage(payload: object, source: str, text: str, entry: DocumentEntry, file: Path) -> Passage:
    try:
        passage = from_payload(payload if isinstance(payload, dict) else None)
    except StoreFailed as error:
        raise _damaged(file, f"a passage of {source} is damaged") from error
    offsets = isinstance(passage.start, int) and isinstance(passage.end, int)
    is_ours = passage.source == source and (passage.tenant, passage.readers) == (entry.tenant, entry.readers)
    if not offsets or not is_ours or text[passage.start : passage.end] != passage.text or not passage.text:
        raise _damaged(file, f"a passage of {source} is not what stands in the text")
    return passage


def _damaged(file: Path, cause: str) -> UsageError:
    return UsageError(IMPORT, f"{os.fspath(file)} is no export, or is damaged: {cause}", "Export it again")
