"""Read some documents of an index again, changed or not, as after another way to read them was set up.

What is known of them answers until they have been read. A document whose file has gone is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.index import IndexProgress, index
from rag.settings import RagSettings
from rag.store import unknown_source
from rag.types import IndexReport

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.manifest import Manifest
    from rag.store import Store


def reread(
    sources: Sequence[str],
    store: Store,
    embedder: Embedder,
    on_progress: Callable[[IndexProgress], None] | None = None,
    settings: RagSettings | None = None,
) -> IndexReport:
    """Read the files of these documents again: of a member its archive, of a duplicate the one that holds it.

    Raises:
        UsageError: one of them is not known, or is no file; a fetched page has to be fetched.
        IndexNotFound, IndexMismatch, IndexLocked, StoreFailed: as `rag.index.index`.
    """
    store.refresh()
    manifest = store.manifest()
    manifest.check(embedder)
    files = {_file_of(source, manifest) for source in sources}
    there = {source for source in files if Path(manifest.documents[source].path).is_file()}
    gone = {source: f"reading {source}: its file is not there any more" for source in sorted(files - there)}
    if there:
        _mark_unread(store, there)
    paths = [Path(manifest.documents[source].path) for source in sorted(there)]
    report = index(paths, store, embedder, on_progress, settings)
    return replace(report, failed={**gone, **report.failed})


def _file_of(source: str, manifest: Manifest) -> str:
    entry = manifest.documents.get(source)
    if entry is None:
        raise unknown_source(source)
    if entry.duplicate_of in manifest.documents:
        return _file_of(entry.duplicate_of, manifest)
    return entry.member_of or source


def _mark_unread(store: Store, sources: set[str]) -> None:
    """Without their hashes they count as changed; their passages stay."""
    with store.generation(store.manifest().dimension) as writer:
        store.refresh()  # nobody else writes from here on
        manifest = store.manifest()
        documents = {
            source: replace(entry, hash="", mtime_ns=0) if source in sources else entry
            for source, entry in manifest.documents.items()
        }
        writer.commit(replace(manifest, documents=documents))
    store.refresh()
