"""Files into an index: read, cut, embed and write what has changed, as one new generation.

Until the generation is committed the old one answers; an interrupt or an error leaves it as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from decoder.errors import MissingExtra
from rag.chunk import chunk
from rag.errors import DocumentError, IndexLocked, IndexMismatch, StoreFailed
from rag.load import discover, load
from rag.manifest import DocumentEntry, Manifest
from rag.plan import File, Plan, duplicate_entry, entry_for, plan
from rag.settings import RagSettings
from rag.sparse import sparse_documents
from rag.types import Document, IndexReport, Passage

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.store import Store, Writer

WINDOW = 2048  # passages in memory at once
SLICE = 64  # passages embedded between two reports of progress
HEADING_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far a run is. `done` of `total` are documents while reading and saving, passages while embedding."""

    step: Literal["reading", "embedding", "saving"]
    done: int
    total: int


def index(
    paths: Sequence[Path],
    store: Store,
    embedder: Embedder,
    on_progress: Callable[[IndexProgress], None] | None = None,
    settings: RagSettings | None = None,
    rebuild: bool = False,
) -> IndexReport:
    """Bring `store` up to date with the files and folders `paths`; documents elsewhere stay.

    Unchanged documents are not read again, deleted ones leave the index, identical ones are kept once. A document
    that cannot be read is listed in the report with its reason, and what was known of it goes: an answer must not
    quote what the file no longer says.

    Args:
        rebuild: start from nothing; whatever is not in `paths` goes.

    Raises:
        IndexMismatch: the index was made by another embedding model or schema, and `rebuild` is false.
        IndexLocked: another process writes it, or wrote it meanwhile.
        StoreFailed: the store cannot be written.
    """
    started, settings = time.monotonic(), settings or RagSettings()
    previous = _previous(store, embedder, rebuild)
    cut = (settings.chunk_tokens, settings.chunk_overlap)
    recut = previous is not None and (previous.chunk_tokens, previous.chunk_overlap) != cut
    known = previous.documents if previous else {}
    files = discover(paths)
    todo = plan(files, paths, known, recut)
    with ExitStack() as stack:
        run = _Run(store, embedder, settings, previous, rebuild, on_progress, stack)
        run.carry_out(todo, known)
    return replace(run.report(todo, known), unsupported=files.unsupported, seconds=time.monotonic() - started)


def _previous(store: Store, embedder: Embedder, rebuild: bool) -> Manifest | None:
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


class _Run:
    """One run: the passages that wait to be embedded, and the writer, opened when there is something to write."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        settings: RagSettings,
        previous: Manifest | None,
        rebuild: bool,
        on_progress: Callable[[IndexProgress], None] | None,
        stack: ExitStack,
    ) -> None:
        self.store, self.embedder, self.settings = store, embedder, settings
        self.previous, self.rebuild, self.stack = previous, rebuild, stack
        self.progress = on_progress or (lambda progress: None)
        self.documents: dict[str, DocumentEntry] = {}
        self.failed: dict[str, str] = {}
        self.waiting: list[Passage] = []
        self.embedded = 0
        self._writer: Writer | None = None

    def carry_out(self, todo: Plan, known: Mapping[str, DocumentEntry]) -> None:
        """Do what the plan says and commit it, if there is anything to write."""
        self.documents, self.failed = {**todo.elsewhere, **todo.unchanged}, dict(todo.failed)
        stale = [*todo.removed, *(s for s in (*todo.duplicates, *(f.source for f in todo.read)) if s in known)]
        for source in stale:
            self.writer.delete_source(source)
        for done, file in enumerate(todo.read):
            self.progress(IndexProgress("reading", done, len(todo.read)))
            self._read(file)
            if len(self.waiting) >= WINDOW:
                self._embed()
        if todo.read:
            self.progress(IndexProgress("reading", len(todo.read), len(todo.read)))
        self._embed()
        self._add_duplicates(todo)
        if self._writer is not None or self.documents != dict(known):
            self._commit()

    @property
    def writer(self) -> Writer:
        """The writer; raises IndexLocked when the index is not what the plan was made from."""
        if self._writer is None:
            self._writer = self.stack.enter_context(self.store.generation(self.embedder.dimension, self.rebuild))
            if not self.rebuild:
                now = self.store.manifest().generation if self.store.refresh() else ""
                if now != (self.previous.generation if self.previous else ""):
                    raise IndexLocked("writing the index", "another process has just changed it", "Index again")
        return self._writer

    def _read(self, file: File) -> None:
        size, overlap = self.settings.chunk_tokens, self.settings.chunk_overlap
        try:
            document = replace(load(Path(file.path)), source=file.source)
            passages = chunk(document, max_tokens=size, overlap=overlap, count=self.embedder.count)
        except (DocumentError, MissingExtra) as error:
            self.failed[file.source] = str(error)
            return
        self._keep(file, document, passages)

    def _keep(self, file: File, document: Document, passages: Sequence[Passage]) -> None:
        text = self.writer.put_text(document.text)
        read = replace(file, hash=document.content_hash)  # what was read, should the file have changed since
        self.documents[file.source] = entry_for(read, text, len(passages), document.title)
        self.waiting.extend(passages)

    def _embed(self) -> None:
        passages = sorted(self.waiting, key=lambda passage: len(passage.text), reverse=True)
        total = self.embedded + len(passages)
        self.waiting = []
        for start in range(0, len(passages), SLICE):
            self.progress(IndexProgress("embedding", self.embedded, total))
            part = passages[start : start + SLICE]
            texts = [searchable(passage) for passage in part]
            self.writer.upsert(part, self.embedder.embed(texts), sparse_documents(texts))
            self.embedded += len(part)
        if passages:
            self.progress(IndexProgress("embedding", self.embedded, total))

    def _add_duplicates(self, todo: Plan) -> None:
        for source, (file, owner) in todo.duplicates.items():
            if owner in self.documents:
                self.documents[source] = duplicate_entry(file, owner, self.documents[owner])
            else:
                self.failed[source] = self.failed.get(owner, f"reading {source}: {owner} has the same bytes and failed")

    def _commit(self) -> None:
        embedder, settings, total = self.embedder, self.settings, len(self.documents)
        self.progress(IndexProgress("saving", 0, total))
        self.writer.commit(
            Manifest(
                embedder=embedder.name,
                dimension=embedder.dimension,
                sha256=embedder.sha256,
                chunk_tokens=settings.chunk_tokens,
                chunk_overlap=settings.chunk_overlap,
                documents=dict(sorted(self.documents.items())),
            )
        )
        self.progress(IndexProgress("saving", total, total))

    def report(self, todo: Plan, known: Mapping[str, DocumentEntry]) -> IndexReport:
        """What was done; `unchanged` leaves out documents outside the paths."""
        read = [file.source for file in todo.read if file.source in self.documents]
        return IndexReport(
            added=tuple(source for source in read if source not in known),
            updated=tuple(source for source in read if source in known),
            removed=todo.removed,
            unchanged=len(todo.unchanged),
            duplicates=_in(self.documents, todo.duplicates),
            passages=self.embedded,
            failed=self.failed,
        )


def _in(documents: Mapping[str, DocumentEntry], sources: Iterable[str]) -> tuple[str, ...]:
    return tuple(source for source in sources if source in documents)


def searchable(passage: Passage) -> str:
    """What is embedded and weighed: the passage under its document's title, headings and context, cut short."""
    above = " > ".join(dict.fromkeys(part for part in (passage.title, *passage.heading) if part))
    return "\n".join(part for part in (above[:HEADING_CHARACTERS], passage.context, passage.text) if part)
