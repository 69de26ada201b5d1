"""Files and documents into an index: read, cut, embed and write what has changed.

Words first: once the files have been read, their text can be found by its words, and dense vectors follow in the same
run. Each commit is a generation: an interrupt or an error leaves what was committed, whole documents all of them,
and the next run goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import DocumentError, IndexMismatch, StoreFailed
from rag.indexing import IndexProgress, Run
from rag.labels import Labels
from rag.load import discover
from rag.manifest import Manifest
from rag.plan import Plan, plan
from rag.settings import RagSettings
from rag.types import Document, IndexReport

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.store import Store

__all__ = ["IndexProgress", "Selection", "index", "index_documents"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns as in a `.gitignore`, relative to each folder given.

    Attributes:
        include: with any, only files that match one are documents.
        exclude: files and folders to leave out.
        gitignore: whether the `.gitignore` files in the folders hold, beside their `.hearthignore`.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    gitignore: bool = False


def index(
    paths: Sequence[Path],
    store: Store,
    embedder: Embedder,
    on_progress: Callable[[IndexProgress], None] | None = None,
    settings: RagSettings | None = None,
    rebuild: bool = False,
    labels: Labels | None = None,
    selection: Selection | None = None,
) -> IndexReport:
    """Bring `store` up to date with the files and folders `paths`; documents elsewhere stay.

    Unchanged documents are not read again, deleted ones leave the index, identical ones are kept once. A document
    that cannot be read is listed in the report with its reason, and what was known of it goes: an answer must not
    quote what the file no longer says. Documents that an interrupted run left without dense vectors get them now.

    Args:
        rebuild: start from nothing; whatever is not in `paths` goes. The old generation answers until the end.
        labels: of the documents in `paths`; None leaves each as it was.
        selection: which files of folders are documents; what it leaves out leaves the index too.

    Raises:
        IndexMismatch: the index was made by another embedding model or schema, and `rebuild` is false.
        IndexLocked: another process writes it, or wrote it meanwhile.
        StoreFailed: the store cannot be written.
    """
    started, settings = time.monotonic(), settings or RagSettings()
    previous = previous_manifest(store, embedder, rebuild)
    cut = (settings.chunk_tokens, settings.chunk_overlap)
    recut = previous is not None and (previous.chunk_tokens, previous.chunk_overlap) != cut
    chosen = selection or Selection()
    files = discover(paths, chosen.include, chosen.exclude, chosen.gitignore)
    todo = plan(files, paths, previous.documents if previous else {}, recut, labels)
    with ExitStack() as stack:
        run = Run(store, embedder, settings, previous, rebuild, labels, on_progress, stack)
        run.carry_out(todo)
    report = run.report(todo)
    return replace(
        report,
        unsupported=files.unsupported + report.unsupported,
        ignored=files.ignored,
        seconds=time.monotonic() - started,
    )


def index_documents(
    documents: Iterable[Document | DocumentError],
    store: Store,
    embedder: Embedder,
    on_progress: Callable[[IndexProgress], None] | None = None,
    settings: RagSettings | None = None,
    labels: Labels | None = None,
) -> IndexReport:
    """Add documents that are no files, such as fetched pages; each takes the place of the one of its source.

    Raises:
        IndexMismatch, IndexLocked, StoreFailed: as `index` does.
    """
    started, settings = time.monotonic(), settings or RagSettings()
    previous = previous_manifest(store, embedder, rebuild=False)
    with ExitStack() as stack:
        run = Run(store, embedder, settings, previous, False, labels, on_progress, stack)
        unchanged = run.take(documents)
    return replace(run.report(Plan(unchanged=unchanged)), seconds=time.monotonic() - started)


def previous_manifest(store: Store, embedder: Embedder, rebuild: bool) -> Manifest | None:
    """What the index says of itself, made by `embedder`; None when there is none, or none that a rebuild looks at."""
    try:
        if not store.refresh() or rebuild:
            return None
    except (IndexMismatch, StoreFailed):
        if rebuild:
            return None
        raise
    manifest = store.manifest()
    manifest.check(embedder)
    return manifest
