"""A knowledge base of 100,000 sentences: how fast and how exactly it is searched, and what it takes up.

    python -m benchmarks.scale --cache FOLDER [--sentences 100000] [--queries 500] [--index FOLDER]

Sentences of books, 20 to a document, with the default model's vectors (embedded once, kept in the cache; that takes
most of an hour on one core). They are written through the store's own writer; then a fresh process opens the index
and asks held-out sentences and SQuAD questions through `KnowledgeBase.search`, their vectors ready beforehand, so
that embedding is no part of the time. Recall is that of the exact ten nearest, by numpy. The exit code is 1 when a
bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.books import BOOKS, Line, held_out_queries, sample, vectors
from rag import KnowledgeBase, Passage
from rag.embed import Embedder, SentenceEmbedder
from rag.manifest import DocumentEntry, Manifest
from rag.retrieve import Search
from rag.settings import RagSettings
from rag.sparse import sparse_documents
from rag.store import Store, open_store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "scale"
A_DOCUMENT = 20
BATCH = 2048
POOL = 50
BARS = {"p50": 15.0, "recall": 0.97}
NEAREST = 10


class Prepared(Embedder):
    """Queries whose vectors are known; it says it is the model that made them."""

    max_tokens = 256

    def __init__(self, manifest: Manifest, texts: Sequence[str], found: NDArray[np.float32]) -> None:
        self.name, self._dimension, self._sha256 = manifest.embedder, manifest.dimension, manifest.sha256
        self._known = dict(zip(texts, found, strict=True))

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def sha256(self) -> str:
        return self._sha256

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError("nothing is embedded here")

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._known[text]

    def count(self, text: str) -> int:
        return len(text.split())


def made(kind: type[Any], **values: Any) -> Any:
    """A dataclass of the store's from what this benchmark knows; fields it does not know are empty."""
    empty: dict[str, Any] = {"str": "", "int": 0, "float": 0.0, "bool": False}
    for known in dataclasses.fields(kind):
        needed = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if needed and known.name not in values:
            values[known.name] = empty.get(str(known.type), ())
    names = {known.name for known in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


def documents(lines: Sequence[Line]) -> Iterator[tuple[str, str, list[Passage]]]:
    """Source, text and passages of each document."""
    for book, group in groupby(lines, key=lambda line: line.book):
        of_book = list(group)
        for start in range(0, len(of_book), A_DOCUMENT):
            source = f"{book}/{start // A_DOCUMENT:05d}.txt"
            texts = [line.text for line in of_book[start : start + A_DOCUMENT]]
            yield source, "\n".join(texts), list(_passages(source, book, texts))


def _passages(source: str, title: str, texts: Sequence[str]) -> Iterator[Passage]:
    place = 0
    for number, text in enumerate(texts, start=1):
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source}:{place}"))
        yield Passage(key, text, source, title, place, place + len(text), number, number)
        place += len(text) + 1


def build(store: Store, lines: Sequence[Line], dense: NDArray[np.float32], embedder: Embedder) -> list[str]:
    """Write everything as one generation; returns the passages' ids in the order of the lines."""
    ids: list[str] = []
    waiting: list[Passage] = []
    entries: dict[str, DocumentEntry] = {}
    with store.generation(embedder.dimension, fresh=True) as writer:

        def write() -> None:
            part = dense[len(ids) : len(ids) + len(waiting)]
            writer.upsert(waiting, part, sparse_documents([passage.text for passage in waiting]))
            ids.extend(passage.id for passage in waiting)
            waiting.clear()

        for source, text, passages in documents(lines):
            kept = writer.put_text(text)
            values = {"hash": kept, "text": kept, "passages": len(passages), "title": source, "path": f"/{source}"}
            entries[source] = made(DocumentEntry, **values)
            waiting += passages
            if len(waiting) >= BATCH:
                write()
        if waiting:
            write()
        written = {"embedder": embedder.name, "dimension": embedder.dimension, "sha256": embedder.sha256}
        writer.commit(made(Manifest, **written, documents=entries))
    return ids


def memory() -> float:
    """Resident memory of this process, MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def anonymous_memory() -> float:
    """The part of it that is not pages of files, which the system can drop, MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")) / 1024


def timed(ask: Callable[[Any], Any], queries: Sequence[Any]) -> tuple[dict[str, float], list[Any]]:
    """p50 and p95 in ms, CPU ms a query, and what came back."""
    times, answers = [], []
    cpu = time.process_time()
    for query in queries:
        started = time.perf_counter()
        answers.append(ask(query))
        times.append((time.perf_counter() - started) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / len(queries)
    return {"p50": statistics.median(times), "p95": sorted(times)[int(0.95 * len(times))], "cpu": cpu}, answers


def within(store: Store, sources: Sequence[str]) -> dict[str, Any]:
    """The argument of a search that is to see these documents only."""
    if "where" in inspect.signature(store.search_dense).parameters:
        from rag.filters import Where

        return {"where": Where().and_sources(sources)}
    return {"sources": sources}


def measure(home: Path) -> dict[str, Any]:
    """In a fresh process: open the index, ask, and say what that took."""
    import numpy as np
    import qdrant_edge  # noqa: F401  # what importing takes is not the index's

    queries = np.load(home / "queries.npy", allow_pickle=False)
    texts, truth = (json.loads((home / name).read_text(encoding="utf-8")) for name in ("texts.json", "truth.json"))
    before, anonymous = memory(), anonymous_memory()
    started = time.perf_counter()
    store = open_store(NAME, RagSettings(index_folder=str(home / "indexes")))
    store.refresh()
    manifest = store.manifest()
    opened = time.perf_counter() - started
    found: dict[str, Any] = {"passages": store.count(), "documents": len(manifest.documents), "open": opened}
    base = KnowledgeBase(NAME, embedder=Prepared(manifest, texts, queries), store=store)
    hybrid = partial(base.search, options=Search(by_sentences=False))  # nothing is embedded here
    timed(hybrid, texts[:20])
    found["hybrid"], _ = timed(hybrid, texts)
    found["dense"], nearest = timed(lambda vector: store.search_dense(vector, POOL), list(queries))
    met = [
        len({passage.id for passage, _ in got[:NEAREST]} & set(ids)) for got, ids in zip(nearest, truth, strict=True)
    ]
    found["recall"] = sum(met) / (NEAREST * len(met))
    one_in_fifty = within(store, sorted(manifest.documents)[::50])
    found["filtered"], _ = timed(lambda vector: store.search_dense(vector, POOL, **one_in_fifty), list(queries))
    found |= {"memory": memory() - before, "anonymous": anonymous_memory() - anonymous}
    store.close()
    return found


def run(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Build the index in `home` and have it measured."""
    import numpy as np

    embedder = SentenceEmbedder()
    lines, others = sample(options.sentences, 250, options.file)
    dense = vectors([line.text for line in lines], embedder, options.cache)
    texts = held_out_queries(others, 250)[: options.queries]
    queries = vectors(held_out_queries(others, 250), embedder, options.cache)[: options.queries]
    store = open_store(NAME, RagSettings(index_folder=str(home / "indexes")))
    started, cpu = time.perf_counter(), time.process_time()
    ids = build(store, lines, dense, embedder)
    written, cpu = time.perf_counter() - started, time.process_time() - cpu
    store.close()
    np.save(home / "queries.npy", queries, allow_pickle=False)
    truth = [[ids[i] for i in np.argsort(-(dense @ query), kind="stable")[:NEAREST]] for query in queries]
    (home / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    (home / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.scale", "--measure", str(home)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=1800, env=dict(os.environ))
    size = sum(path.stat().st_blocks * 512 for path in (home / "indexes").rglob("*") if path.is_file()) / 2**20
    return {**json.loads(done.stdout), "write": written, "write_cpu": cpu, "disk": size}


def show(found: dict[str, Any]) -> None:
    """The figures for people."""
    share = found["passages"] / 100_000
    for name, what in (("hybrid", "hybrid search, 8 hits"), ("dense", "dense, 50"), ("filtered", "dense, 50, in 2%")):
        figures = found[name]
        bar = f"  (target p50 at most {BARS['p50']:.0f})" if name == "hybrid" else ""
        print(
            f"{what:<24}p50 {figures['p50']:6.1f} ms   p95 {figures['p95']:6.1f} ms   CPU {figures['cpu']:6.1f} ms{bar}"
        )
    print(f"{'recall@10 of dense':<24}{found['recall']:.4f}  (target at least {BARS['recall']})")
    print(f"{'written in':<24}{found['write']:.1f} s (CPU {found['write_cpu']:.1f}), vectors ready")
    print(f"{'opened in':<24}{found['open']:.2f} s")
    print(
        f"{'memory per 100,000':<24}{found['memory'] / share:.0f} MiB, {found['anonymous'] / share:.0f} of it its own"
    )
    print(f"{'disk per 100,000':<24}{found['disk'] / share:.0f} MiB")


def main() -> int:
    """Print the figures; exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "hearth-bench-cache")
    parser.add_argument("--file", type=Path, default=BOOKS)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--index", type=Path, help="build the index in this empty folder, and leave it there")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        home = options.index or Path(place)
        home.mkdir(parents=True, exist_ok=True)
        found = run(home, options)
    print(f"{found['passages']} passages in {found['documents']} documents, {options.queries} queries")
    show(found)
    return 0 if found["hybrid"]["p50"] <= BARS["p50"] and found["recall"] >= BARS["recall"] else 1


if __name__ == "__main__":
    sys.exit(main())
