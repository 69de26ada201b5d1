"""One run of indexing: which documents are read, when they are committed, and when their dense vectors follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from rag.chunk import chunk
from rag.errors import DocumentError, IndexLocked, UnsupportedFormat
from rag.labels import Labels, labels_of
from rag.load import load_all, source_of
from rag.load.reading import configured
from rag.manifest import DocumentEntry, Manifest
from rag.plan import File, Plan, duplicate_entry, entry_for
from rag.searchable import searchable
from rag.settings import RagSettings
from rag.sparse import sparse_documents
from rag.types import Document, IndexReport, Passage

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.store import Point, Store, Writer

T = TypeVar("T")
Step: TypeAlias = Literal["reading", "searchable", "embedding", "saving", "saved"]
WINDOW = 2048
"""Passages in memory at once."""
SLICE = 64
"""Passages embedded between two reports of progress."""
DIRECT = 64
"""A run with so few passages embeds them before its only commit: a second or two."""
FIRST_COMMIT = 0.2
"""Seconds of reading until what was read becomes searchable, then twice as long each time: a commit takes about 0.15 s,
and there are few of them."""
LAST_COMMIT = 30.0
"""Seconds between two commits at most, while reading and while embedding."""


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far a run is. `done` of `total` are documents, and passages while embedding.

    Attributes:
        step: `searchable` says that `done` documents were committed and can be found by their words; `saved` that
            those whose vectors are done can be found by meaning too. Neither is lost any more.
        source: the document that is being read.
        passages: cut so far in this run.
        failed: what could not be read so far, with the reason; it grows as the run goes on.
    """

    step: Step
    done: int
    total: int
    source: str = ""
    passages: int = 0
    failed: Mapping[str, str] = field(default_factory=dict, hash=False)


class Run:
    """The documents as they will be committed, the passages that wait, and the writer, opened when there is need."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        settings: RagSettings,
        previous: Manifest | None,
        rebuild: bool,
        labels: Labels | None,
        on_progress: Callable[[IndexProgress], None] | None,
        stack: ExitStack,
    ) -> None:
        self.store, self.embedder, self.settings = store, embedder, settings
        self.previous, self.rebuild, self.labels, self.stack = previous, rebuild, labels, stack
        self.progress = on_progress or (lambda progress: None)
        self.known: Mapping[str, DocumentEntry] = dict(previous.documents) if previous else {}
        self.documents: dict[str, DocumentEntry] = dict(self.known)
        self._members: dict[str, list[str]] = {}
        for source, entry in self.known.items():
            if entry.member_of:
                self._members.setdefault(entry.member_of, []).append(source)
        self.reading = configured()
        self.failed: dict[str, str] = {}
        self.waiting: list[Passage] = []
        self.read: dict[str, None] = {}
        self.passages = self.unsupported = self._cut_passages = 0
        self.searchable_seconds = 0.0
        self._started = self._committed = time.monotonic()
        self._patience = FIRST_COMMIT
        self._saved = dict(self.known)
        self._writer: Writer | None = None

    def carry_out(self, todo: Plan) -> None:
        """Do what the plan says and commit it, if there is anything to write."""
        self.failed.update(todo.failed)
        for source in (*todo.removed, *todo.failed):
            self._forget(source)
        for done, file in enumerate(todo.read):
            self._tell("reading", done, len(todo.read), file.source)
            self._read(file)
            self._commit_now_and_then(done + 1, len(todo.read))
        if todo.read:
            self._tell("reading", len(todo.read), len(todo.read))
        self._add_duplicates(todo)
        self._finish(len(todo.read))

    def take(self, documents: Iterable[Document | DocumentError]) -> tuple[str, ...]:
        """Add documents as they come; returns the sources of those that have not changed."""
        unchanged = []
        for done, found in enumerate(documents):
            self._tell("reading", done, 0)
            if isinstance(found, DocumentError):
                self.failed[found.source or str(done)] = str(found)
                continue
            entry, labels = self.known.get(found.source), self._labels_for(found.source)
            if entry is not None and entry.hash == found.content_hash and labels == labels_of(entry):
                unchanged.append(found.source)
                continue
            file = File(found.source, found.source, found.content_hash, 0, len(found.text))
            self._forget(found.source)
            self._cut(file, found)
            self._commit_now_and_then(done + 1, 0)
        self._finish(len(self.documents))
        return tuple(unchanged)

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

    def _tell(self, step: Step, done: int, total: int, source: str = "") -> None:
        self.progress(IndexProgress(step, done, total, source, self._cut_passages, self.failed))

    def _forget(self, source: str) -> None:
        """Take a document out, and the members of an archive with it."""
        for name in (source, *self._members.pop(source, ())):
            if self.documents.pop(name, None) is not None:
                self.writer.delete_source(name)
            if name in self.read:
                self.waiting = [passage for passage in self.waiting if passage.source != name]

    def _labels_for(self, source: str) -> Labels:
        if self.labels is not None:
            return self.labels
        return labels_of(self.known[source]) if source in self.known else Labels()

    def _read(self, file: File) -> None:
        self._forget(file.source)
        prefix = source_of(Path(file.path))
        for found in load_all(Path(file.path), reading=self.reading):
            source = file.source + found.source.removeprefix(prefix)
            if isinstance(found, UnsupportedFormat) and source != file.source:
                self.unsupported += 1
            elif isinstance(found, DocumentError):
                self.failed[source] = str(found).replace(found.source, source)
            elif source == file.source:
                # What was read, should the file have changed since it was looked at.
                self._cut(replace(file, hash=found.content_hash), replace(found, source=source))
            else:
                self._members.setdefault(file.source, []).append(source)
                member = replace(file, source=source, hash=found.content_hash)
                self._cut(member, replace(found, source=source), archive=file.source)
        if file.source in self._members:
            self._keep_archive(file)

    def _keep_archive(self, file: File) -> None:
        entry = entry_for(file, self.writer.put_text(""), 0, Path(file.path).name, self._labels_for(file.source))
        self.documents[file.source] = replace(entry, media_type="application/zip")

    def _cut(self, file: File, document: Document, archive: str = "") -> None:
        size, overlap = self.settings.chunk_tokens, self.settings.chunk_overlap
        labels = self._labels_for(archive or file.source)
        passages = labels.on(chunk(document, max_tokens=size, overlap=overlap, count=self.embedder.count), document)
        self._cut_passages += len(passages)
        text = self.writer.put_text(document.text)
        entry = entry_for(file, text, len(passages), document.title, labels)
        self.documents[file.source] = replace(
            entry,
            pending=bool(passages),
            media_type=document.media_type,
            member_of=archive,
            validators=_validators(document),
        )
        self.read[file.source] = None
        self.waiting.extend(passages)
        if len(self.waiting) >= WINDOW:
            self._write_waiting(with_vectors=self.rebuild)

    def _write_waiting(self, with_vectors: bool) -> None:
        """Write the passages that wait, in order of length so that batches hold little padding."""
        passages, self.waiting = sorted(self.waiting, key=lambda p: len(p.text), reverse=True), []
        for part in _slices(passages, SLICE if with_vectors else WINDOW):
            texts = [searchable(passage) for passage in part]
            vectors = None
            if with_vectors:
                self._tell("embedding", self.passages, self.passages + len(passages))
                vectors = self.embedder.embed(texts)
            self.writer.upsert(part, vectors, sparse_documents(texts))
            self.passages += len(part)
        if with_vectors and passages:
            self._tell("embedding", self.passages, self.passages)
            for source in {passage.source for passage in passages}:
                self.documents[source] = replace(self.documents[source], pending=False)

    def _commit_now_and_then(self, done: int, total: int) -> None:
        """Make what was read searchable by its words, soon for the first time, then ever less often."""
        if self.rebuild or time.monotonic() - self._committed < self._patience:
            return
        self._commit_words(done, total)
        self._patience = min(2 * self._patience, LAST_COMMIT)

    def _commit_words(self, done: int, total: int) -> None:
        self._write_waiting(with_vectors=False)
        self._commit()
        self.searchable_seconds = self.searchable_seconds or time.monotonic() - self._started
        self._tell("searchable", done, total or done)

    def _finish(self, read: int) -> None:
        has_committed = self.searchable_seconds > 0
        if self.rebuild or (not has_committed and self.passages == 0 and len(self.waiting) <= DIRECT):
            self._write_waiting(with_vectors=True)
        elif self.waiting or self.passages:
            self._commit_words(read, read)
        self._commit()
        self._embed_pending()

    def _embed_pending(self) -> None:
        """Give dense vectors to the documents that have none, a few at a time, committed every now and then."""
        pending = {source: entry.passages for source, entry in self.documents.items() if entry.pending}
        done, total = 0, sum(pending.values())
        for sources in _batches(pending, WINDOW):
            self.store.refresh()
            points = sorted(self.store.points(sources), key=lambda point: len(point.passage.text), reverse=True)
            for source in sources:
                self.writer.delete_source(source)
            for part in _slices(points, SLICE):
                self._tell("embedding", done, total)
                self._embed(part)
                done += len(part)
            self.documents.update({s: replace(self.documents[s], pending=False) for s in sources})
            if time.monotonic() - self._committed > LAST_COMMIT:
                self._commit()
        if pending:
            self._tell("embedding", done, total)
            self._commit()

    def _embed(self, points: Sequence[Point]) -> None:
        passages = [point.passage for point in points]
        vectors = self.embedder.embed([searchable(passage) for passage in passages])
        self.writer.upsert(passages, vectors, [point.sparse for point in points])

    def _add_duplicates(self, todo: Plan) -> None:
        for source, (file, owner) in todo.duplicates.items():
            self._forget(source)
            if owner in self.documents:
                self.documents[source] = duplicate_entry(file, owner, self.documents[owner])
            else:
                self.failed[source] = self.failed.get(owner, f"reading {source}: {owner} has the same bytes and failed")

    def _commit(self) -> None:
        embedder, settings, total = self.embedder, self.settings, len(self.documents)
        if self.documents == self._saved:
            return
        self._tell("saving", 0, total)
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
        self._committed, self._saved = time.monotonic(), dict(self.documents)
        self._tell("saved", total - sum(e.pending for e in self.documents.values()), total)

    def report(self, todo: Plan) -> IndexReport:
        """What was done; `unchanged` leaves out documents outside the paths."""
        read = [source for source in self.read if source in self.documents]
        return IndexReport(
            added=tuple(source for source in read if source not in self.known),
            updated=tuple(source for source in read if source in self.known),
            removed=todo.removed,
            unchanged=len(todo.unchanged),
            duplicates=tuple(source for source in todo.duplicates if source in self.documents),
            passages=self.passages,
            failed=self.failed,
            unsupported=self.unsupported,
            searchable_seconds=self.searchable_seconds,
        )


def _validators(document: Document) -> tuple[str, ...]:
    found = tuple(str(document.metadata.get(name, "")) for name in ("etag", "modified"))
    return found if "fetched" in document.metadata and any(found) else ()


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _batches(sizes: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """Keys whose sizes together are at most `most`, unless one alone is more."""
    batch: list[str] = []
    room = most
    for key, size in sizes.items():
        if batch and size > room:
            yield batch
            batch, room = [], most
        batch.append(key)
        room -= size
    if batch:
        yield batch
