"""nDCG@10 of sparse, dense and fused search on whole documents of three public retrieval collections.

    python -m benchmarks.retrieval [FOLDER] [--collections adi,cisi,npl]

FOLDER holds one folder per collection: corpus.jsonl(.gz), queries.jsonl, qrels/test.tsv (the layout of BEIR).
Without it: HEARTH_TEST_DATA/ir. Everything goes through the store and the functions that the knowledge base uses,
with one setting for all collections:

- `rank` and `score` are the two ways to fuse of `rag.fusion`, at its default weight; score is the default.
- `search` is what `KnowledgeBase.search` returns: fused by score, the first ten put in order with their sentences.

Queries are halved by a hash: the settings were chosen on the half "tune", so "rest" is what they reach on others.
The last column is the mean of `score` minus the better of BM25 and dense, with a paired bootstrap interval of 95%.
Exit code 1 when `score` or `search` is below the better of the two, over the rest or over all, or below the
collection's bar over all.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import os
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag.embed import SentenceEmbedder
from rag.fusion import fuse
from rag.manifest import DocumentEntry, Manifest
from rag.retrieve import POOL
from rag.searchable import searchable
from rag.sparse import sparse_documents, sparse_query
from rag.store import Scored, Store
from rag.store_edge import EdgeStore
from rag.support import assess, best_first
from rag.types import Hit, Passage

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ir"
BARS = {"cisi": 0.43, "adi": 0.50, "npl": 0.45}
COLUMNS = ("BM25", "dense", "rank", "score", "search")
RESAMPLES = 10_000


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """The objects of a file of JSON lines, packed or not."""
    packed = folder / f"{name}.gz"
    with gzip.open(packed, "rt", encoding="utf-8") if packed.exists() else (folder / name).open(encoding="utf-8") as f:
        yield from map(json.loads, f)


def relevance(folder: Path) -> dict[str, dict[str, int]]:
    """Judgements by query and document."""
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        judged[query][document] = int(score)
    return judged


def is_for_tuning(collection: str, query: str) -> bool:
    """Which half a query belongs to, the same for ever."""
    return int(hashlib.sha256(f"{collection}:{query}".encode()).hexdigest(), 16) % 2 == 0


def ndcg(ranking: Sequence[str], judged: dict[str, int], k: int = 10) -> float:
    """Järvelin and Kekäläinen 2002, with linear gains."""
    gains = [judged.get(document, 0) for document in ranking[:k]]
    best = sorted(judged.values(), reverse=True)[:k]

    def discounted(values: Sequence[int]) -> float:
        return sum(value / math.log2(rank + 2) for rank, value in enumerate(values))

    return discounted(gains) / discounted(best) if any(best) else 0.0


def build(folder: Path, store: Store, embedder: SentenceEmbedder) -> float:
    """Write every document as one passage; returns seconds spent embedding."""
    passages = [
        Passage(str(uuid.uuid5(uuid.NAMESPACE_URL, row["_id"])), row["text"], row["_id"], row["title"], 0, 0, 1, 1)
        for row in rows(folder, "corpus.jsonl")
    ]
    texts = [searchable(passage) for passage in passages]
    started = time.perf_counter()
    vectors = embedder.embed(texts)
    seconds = time.perf_counter() - started
    with store.generation(embedder.dimension) as writer:
        writer.upsert(passages, vectors, sparse_documents(texts))
        entries = {p.source: DocumentEntry("", writer.put_text(""), 1, "", 0, 0, "") for p in passages}
        writer.commit(Manifest(embedder.name, embedder.dimension, embedder.sha256, 0, 0, entries))
    return seconds


def rankings(query: str, store: Store, embedder: SentenceEmbedder) -> list[list[str]]:
    """The ten best documents of each of COLUMNS."""
    dense = store.search_dense(embedder.embed_query(query), POOL)
    sparse = store.search_sparse(sparse_query(query), POOL)
    by_score = fuse(dense, sparse, method="score")[:10]
    by_sentences = best_first(by_score, assess(query, by_score, embedder))

    def alone(found: Sequence[Scored]) -> list[str]:
        return [passage.source for passage, _ in found[:10]]

    def fused(hits: Sequence[Hit]) -> list[str]:
        return [hit.passage.source for hit in hits[:10]]

    by_rank = fuse(dense, sparse, method="rank")
    return [alone(sparse), alone(dense), fused(by_rank), fused(by_score), fused(by_sentences)]


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap of their mean, over queries, 95%."""
    import numpy as np

    values = np.asarray(differences)
    chosen = np.random.default_rng(1).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def report(name: str, half: str, figures: Sequence[Sequence[float]]) -> bool:
    """Print one line, and return whether the bars are met; `figures` has one row of COLUMNS per query."""
    means = dict(zip(COLUMNS, (sum(column) / len(figures) for column in zip(*figures, strict=True)), strict=True))
    better = "dense" if means["dense"] >= means["BM25"] else "BM25"
    at, beside = COLUMNS.index("score"), COLUMNS.index(better)
    low, high = interval([row[at] - row[beside] for row in figures])
    least = max(means[better], BARS.get(name, 0.0) if half == "all" else 0.0)
    met = half == "tune" or min(means["score"], means["search"]) >= least
    columns = " ".join(f"{means[column]:6.3f}" for column in COLUMNS)
    gain = f"{means['score'] - means[better]:+.3f} [{low:+.3f}, {high:+.3f}] to {better}"
    print(f"{name:5} {half:4} {len(figures):5} {columns}  {gain}{'' if met else '  MISSED'}", flush=True)
    return met


def measure(folder: Path, embedder: SentenceEmbedder) -> bool:
    """Print a collection's lines; whether its bars are met."""
    judged = relevance(folder)
    queries = {row["_id"]: row["text"] for row in rows(folder, "queries.jsonl") if row["_id"] in judged}
    with tempfile.TemporaryDirectory() as place:
        store = EdgeStore(Path(place) / "index")
        seconds = build(folder, store, embedder)
        found = {key: rankings(text, store, embedder) for key, text in queries.items()}
        store.close()
    figures = {key: [ndcg(ranking, judged[key]) for ranking in found[key]] for key in queries}
    tune = [row for key, row in figures.items() if is_for_tuning(folder.name, key)]
    rest = [row for key, row in figures.items() if not is_for_tuning(folder.name, key)]
    print(f"{folder.name}: embedded in {seconds:.0f} s")
    halves = (("tune", tune), ("rest", rest), ("all", list(figures.values())))
    met = [report(folder.name, half, part) for half, part in halves]
    return all(met)


def main() -> int:
    """Print the figures; exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    parser.add_argument("--collections", default="adi,cisi,npl")
    arguments = parser.parse_args()
    started, embedder = time.monotonic(), SentenceEmbedder()
    print("name  half query " + " ".join(f"{column:>6}" for column in COLUMNS) + "  score minus the better, 95%")
    met = [measure(arguments.folder / name, embedder) for name in arguments.collections.split(",")]
    print(f"measured in {(time.monotonic() - started) / 60:.1f} minutes")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
