"""`hearth index --engine ray`: read, cut and embed on Ray Data's workers, which write to one Qdrant server.

    files -> read (tasks: parse in the limited process, cut, keep the text) -> passages
          -> Embed (actors: hold the model, embed a batch, write it) -> what was written

The driver begins the generation, counts what was written and commits the manifest once, at the end. Until then the
old generation answers. Files must be at the same path on every machine.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rag.errors
from decoder.errors import HearthError, ServiceError, UsageError
from rag.errors import EngineFailed, IndexLocked, IndexMismatch, StoreFailed
from rag.index import IndexProgress
from rag.load import discover
from rag.manifest import DocumentEntry, Manifest
from rag.plan import File, Plan, duplicate_entry, entry_for, plan
from rag.ray_session import session
from rag.ray_steps import Embed, Job, MakeEmbedder, patiently, read
from rag.settings import RagSettings
from rag.store_qdrant import QdrantStore
from rag.store_qdrant_lease import RENEW_SECONDS
from rag.store_qdrant_writer import QdrantWriter
from rag.types import IndexReport

if TYPE_CHECKING:
    from rag.embed import Embedder

STEP = "indexing with Ray"
PASSAGES = 256
"""Of one batch: enough of them to put those of one length together, and few requests to the store."""
FILES = 16
"""Of one task."""
Progress = Callable[[IndexProgress], None]


def default_embedder(settings: RagSettings) -> Embedder:
    """The settings' embedding model, made on the machine that needs it."""
    from rag.embed import SentenceEmbedder

    return SentenceEmbedder(settings.embedder)


def index_on_ray(
    paths: Sequence[Path],
    name: str,
    settings: RagSettings,
    on_progress: Progress | None = None,
    rebuild: bool = False,
    make: MakeEmbedder = default_embedder,
) -> IndexReport:
    """Bring index `name` on a Qdrant server up to date with `paths`, as `rag.index.index` does on one machine.

    Args:
        rebuild: start from nothing; whatever is not in `paths` goes.
        make: makes the embedder, here and on the workers; pickled by reference where it is a module's function.

    Raises:
        UsageError: a path does not exist, or the settings' store is not a server.
        MissingExtra: Ray is not installed.
        EngineFailed: Ray does not answer, or lost a worker more often than it tries again.
        IndexMismatch, IndexLocked, StoreFailed: as `rag.index.index` does.
    """
    started = time.monotonic()
    given = [Path(path).expanduser() for path in paths]
    for path in given:
        if not path.exists():
            raise UsageError("reading documents", f"{path} does not exist", "Give a file or a folder")
    store = _server_store(name, settings)
    try:
        embedder = make(settings)
        previous = _previous(store, embedder, rebuild)
        known = previous.documents if previous else {}
        files = discover(given)
        recut = previous is not None and (previous.chunk_tokens, previous.chunk_overlap) != _cut(settings)
        todo = plan(files, given, known, recut)
        run = _Run(store, settings, embedder, make, todo, on_progress or (lambda progress: None))
        run.carry_out(known, previous.generation if previous else "", rebuild)
        report = run.report(known)
    finally:
        store.close()
    return replace(report, unsupported=files.unsupported, seconds=time.monotonic() - started)


def _server_store(name: str, settings: RagSettings) -> QdrantStore:
    from rag.store import open_store

    if settings.store != "qdrant":
        cause = f"the store {settings.store!r} is in one process, and several machines cannot write to it"
        remedy = "Start a Qdrant server (docker compose up qdrant) and set HEARTH_RAG_STORE=qdrant and "
        raise UsageError(STEP, cause, f"{remedy}HEARTH_RAG_QDRANT_URL, or leave out --engine ray")
    store = open_store(name, settings)
    assert isinstance(store, QdrantStore)  # noqa: S101  # it is what the settings ask for
    return store


def _previous(store: QdrantStore, embedder: Embedder, rebuild: bool) -> Manifest | None:
    try:
        if not store.refresh() or rebuild:
            return None
    except (IndexMismatch, StoreFailed):
        if rebuild:
            return None
        raise
    store.manifest().check(embedder)
    return store.manifest()


def _cut(settings: RagSettings) -> tuple[int, int]:
    return settings.chunk_tokens, settings.chunk_overlap


@dataclass(slots=True)
class _Run:
    """One run: what it has to do, and what has become of it so far."""

    store: QdrantStore
    settings: RagSettings
    embedder: Embedder
    make: MakeEmbedder
    todo: Plan
    progress: Progress
    documents: dict[str, DocumentEntry] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)

    def carry_out(self, known: Mapping[str, DocumentEntry], generation: str, rebuild: bool) -> None:
        """Do what the plan says and commit it, if there is anything to write."""
        todo = self.todo
        self.documents, self.failed = {**todo.elsewhere, **todo.unchanged}, dict(todo.failed)
        if not todo.read and not todo.duplicates and self.documents == dict(known) and not rebuild:
            return
        with self.store.generation(self.embedder.dimension, rebuild) as writer:
            assert isinstance(writer, QdrantWriter)  # noqa: S101  # a QdrantStore makes no other
            now = self.store.manifest().generation if self.store.refresh() else ""
            if not rebuild and now != generation:
                raise IndexLocked("writing the index", "another process has just changed it", "Index again")
            for source in (*todo.removed, *todo.duplicates, *(file.source for file in todo.read)):
                if source in known:
                    writer.delete_source(source)
            if todo.read:
                self._read(writer)
            self._add_duplicates()
            self._commit(writer)

    def _read(self, writer: QdrantWriter) -> None:
        """Read all files on Ray; raises EngineFailed unless everything that was cut was also written."""
        files = {file.source: file for file in self.todo.read}
        model = (self.embedder.name, self.embedder.dimension, self.embedder.sha256)
        job = Job(self.settings, writer.target, self.make, model)
        self.progress(IndexProgress("reading", 0, len(files)))
        with session(self.settings) as ray, _kept(writer) as lost, _ray_errors():
            for row in _rows(ray, list(files.values()), job):
                if lost:
                    raise lost[0]
                self._take(row, files)
        short = [s for s in files if s not in self.failed and not self._whole(s)]
        if short:
            raise EngineFailed(STEP, f"{len(short)} documents were not written whole ({short[0]})", "Index again")
        self.progress(IndexProgress("reading", len(files), len(files)))

    def _whole(self, source: str) -> bool:
        return source in self.documents and self.documents[source].passages == self.written[source]

    def _take(self, row: Mapping[str, Any], files: Mapping[str, File]) -> None:
        if "stop" in row:
            raise _raised(*row["stop"])
        if "written" in row:
            self.written.update(row["written"])
            return
        source = row["source"]
        if "failed" in row:
            self.failed[source] = row["failed"]
        else:
            entry = row["document"]
            read_file = replace(files[source], hash=entry["hash"])  # what was read, should it have changed since
            self.documents[source] = entry_for(read_file, entry["text"], entry["passages"], entry["title"])
        self.done.add(source)
        self.progress(IndexProgress("reading", len(self.done), len(files)))

    def _add_duplicates(self) -> None:
        for source, (file, owner) in self.todo.duplicates.items():
            if owner in self.documents:
                self.documents[source] = duplicate_entry(file, owner, self.documents[owner])
            else:
                self.failed[source] = self.failed.get(owner, f"reading {source}: {owner} has the same bytes and failed")

    def _commit(self, writer: QdrantWriter) -> None:
        embedder, total = self.embedder, len(self.documents)
        self.progress(IndexProgress("saving", 0, total))
        tokens, overlap = _cut(self.settings)
        documents = dict(sorted(self.documents.items()))
        manifest = Manifest(embedder.name, embedder.dimension, embedder.sha256, tokens, overlap, documents)
        patiently(lambda: writer.commit(manifest))
        self.progress(IndexProgress("saving", total, total))

    def report(self, known: Mapping[str, DocumentEntry]) -> IndexReport:
        """What was done; `unchanged` leaves out documents outside the paths."""
        done = [file.source for file in self.todo.read if file.source in self.documents]
        return IndexReport(
            added=tuple(source for source in done if source not in known),
            updated=tuple(source for source in done if source in known),
            removed=self.todo.removed,
            unchanged=len(self.todo.unchanged),
            duplicates=tuple(source for source in self.todo.duplicates if source in self.documents),
            passages=sum(self.written.values()),
            failed=self.failed,
        )


def _rows(ray: Any, files: Sequence[File], job: Job) -> Iterator[dict[str, Any]]:
    """Everything that the workers say, as it comes."""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    actors = min(job.settings.ray_embedders or cpus // 2, cpus - 1) or 1
    items = [{"row": json.dumps({"source": file.source, "path": file.path})} for file in files]
    data = ray.data.from_items(items, override_num_blocks=-(-len(items) // FILES))
    data = data.flat_map(read, fn_kwargs={"job": job})
    pool = ray.data.ActorPoolStrategy(size=actors)
    data = data.map_batches(Embed, fn_constructor_kwargs={"job": job}, batch_size=PASSAGES, compute=pool)
    for row in data.iter_rows():
        yield json.loads(row["row"])


@contextmanager
def _kept(writer: QdrantWriter) -> Iterator[list[HearthError]]:
    """Keep the right to write while the workers work; the list holds the error that took it away."""
    lost: list[HearthError] = []
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_SECONDS):
            try:
                writer.renew()
            except IndexLocked as error:
                lost.append(error)
                return
            except StoreFailed:
                continue  # it lasts a quarter of an hour; the workers say when the store is gone for good

    thread = threading.Thread(target=renew, name="hearth-lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join(RENEW_SECONDS)


@contextmanager
def _ray_errors() -> Iterator[None]:
    """What Ray raises, as EngineFailed; our own errors pass."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        raise EngineFailed(STEP, _reason(error), "See the logs of Ray's session") from error


def _reason(error: BaseException) -> str:
    """The last line of the first of the errors that led to this one, which Ray tells in one text."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).split("The above exception was", 1)[0]
    lines = [line.strip() for line in first.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1][:200].rstrip(".")


def _raised(kind: str, step: str, cause: str, remedy: str) -> HearthError:
    """A worker's error, in its own type where it is the knowledge base's."""
    known = getattr(rag.errors, kind, None)
    if isinstance(known, type) and issubclass(known, HearthError):
        return known(step, cause, remedy)
    return ServiceError(step, cause, remedy)
