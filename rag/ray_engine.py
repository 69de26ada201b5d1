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
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rag.errors
from decoder.errors import HearthError, ServiceError, UsageError
from rag.errors import EngineFailed, IndexLocked, StoreFailed
from rag.index import Selection, previous_manifest
from rag.indexing import IndexProgress, Run
from rag.labels import Labels
from rag.load import discover
from rag.load.reading import configured
from rag.plan import File, Plan, entry_for, plan
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
    labels: Labels | None = None,
    selection: Selection | None = None,
    make: MakeEmbedder = default_embedder,
) -> IndexReport:
    """Bring index `name` on a Qdrant server up to date with `paths`, as `rag.index.index` does on one machine.

    Args:
        rebuild: start from nothing; whatever is not in `paths` goes.
        labels: of the documents in `paths`; None leaves each as it was.
        selection: which files of folders are documents.
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
    with closing(_server_store(name, settings)) as store, ExitStack() as stack:
        embedder = make(settings)
        previous = previous_manifest(store, embedder, rebuild)
        chosen = selection or Selection()
        files = discover(given, chosen.include, chosen.exclude, chosen.gitignore)
        recut = previous is not None and (previous.chunk_tokens, previous.chunk_overlap) != _cut(settings)
        todo = plan(files, given, previous.documents if previous else {}, recut, labels)
        run = _Run(make, store, embedder, settings, previous, rebuild, labels, on_progress, stack)
        run.carry_out(todo)
        report = run.report(todo)
        left_out, seconds = files.unsupported + report.unsupported, time.monotonic() - started
        return replace(report, unsupported=left_out, ignored=files.ignored, seconds=seconds)


def _server_store(name: str, settings: RagSettings) -> QdrantStore:
    from rag.store import open_store

    if settings.store != "qdrant":
        cause = f"the store {settings.store!r} is in one process, and several machines cannot write to it"
        remedy = "Start a Qdrant server (docker compose up qdrant) and set HEARTH_RAG_STORE=qdrant and "
        raise UsageError(STEP, cause, f"{remedy}HEARTH_RAG_QDRANT_URL, or leave out --engine ray")
    store = open_store(name, settings)
    assert isinstance(store, QdrantStore)  # noqa: S101  # it is what the settings ask for
    return store


def _cut(settings: RagSettings) -> tuple[int, int]:
    return settings.chunk_tokens, settings.chunk_overlap


class _Run(Run):
    """A run whose documents are read, cut, embedded and written by Ray's workers, and committed once."""

    def __init__(self, make: MakeEmbedder, *run: Any) -> None:
        super().__init__(*run)
        self.make = make
        self._written: Counter[str] = Counter()
        self._done: set[str] = set()
        self._places: dict[str, tuple[str, int]] = {}  # of each document: its file, and where it stands in that

    def carry_out(self, todo: Plan) -> None:
        """Do what the plan says and commit it, if there is anything to write."""
        self.failed.update(todo.failed)
        for source in (*todo.removed, *todo.failed, *(file.source for file in todo.read)):
            self._forget(source)
        if todo.read:
            self._read_all({file.source: file for file in todo.read})
        self._add_duplicates(todo)
        self._commit()
        self._embed_pending()

    def _read_all(self, files: Mapping[str, File]) -> None:
        """Read the files on Ray; raises EngineFailed unless everything that was cut was also written."""
        writer = self.writer
        assert isinstance(writer, QdrantWriter)  # noqa: S101  # a QdrantStore makes no other
        model = (self.embedder.name, self.embedder.dimension, self.embedder.sha256)
        job = Job(self.settings, writer.target, self.make, configured(), model)
        self.progress(IndexProgress("reading", 0, len(files)))
        with session(self.settings) as ray, _kept(writer) as lost, _ray_errors():
            for row in _rows(ray, [(file, self._labels_for(file.source)) for file in files.values()], job):
                if lost:
                    raise lost[0]
                self._take(row, files)
        self._check(files)
        order = {source: place for place, source in enumerate(files)}
        self.read = dict.fromkeys(sorted(self.read, key=lambda s: (order[self._places[s][0]], self._places[s][1])))
        self.passages = self._written.total()
        for source in files:
            if source in self._members:
                patiently(partial(self._keep_archive, files[source]))

    def _take(self, row: Mapping[str, Any], files: Mapping[str, File]) -> None:
        """Keep what a worker says: of one document, of a batch that was written, or of a file that is done."""
        if "stop" in row:
            raise _raised(*row["stop"])
        self._written.update(row.get("written", {}))
        if "done" in row:
            self._done.add(row["done"])
            self.progress(IndexProgress("reading", len(self._done), len(files)))
        elif "unsupported" in row:
            self.unsupported += 1
        elif "failed" in row:
            self.failed[row["source"]] = row["failed"]
        elif "document" in row:
            self._keep(row["source"], files[row["of"]], row["document"])
            self._places[row["source"]] = row["of"], row["place"]

    def _keep(self, source: str, file: File, said: Mapping[str, Any]) -> None:
        archive = file.source if source != file.source else ""
        if archive:
            self._members.setdefault(archive, []).append(source)
        read = replace(file, source=source, hash=said["hash"])  # what was read, should it have changed since
        entry = entry_for(read, said["text"], said["passages"], said["title"], self._labels_for(file.source))
        self.documents[source] = replace(entry, media_type=said["media_type"], member_of=archive)
        self.read[source] = None

    def _check(self, files: Mapping[str, File]) -> None:
        short = [source for source in self.read if self.documents[source].passages != self._written[source]]
        short += [source for source in files if source not in self._done]
        if short:
            raise EngineFailed(STEP, f"{len(short)} documents were not written whole ({short[0]})", "Index again")

    def _commit(self) -> None:
        patiently(super()._commit)


def _rows(ray: Any, files: Sequence[tuple[File, Labels]], job: Job) -> Iterator[dict[str, Any]]:
    """Everything that the workers say, as it comes."""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    actors = min(job.settings.ray_embedders or cpus // 2, cpus - 1) or 1
    items = [{"row": json.dumps({"source": f.source, "path": f.path, "labels": asdict(given)})} for f, given in files]
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
