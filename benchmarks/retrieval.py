"""nDCG@10 of sparse, dense and fused search on whole documents of public retrieval collections.

    python benchmarks/retrieval.py [FOLDER] [--collections adi,cisi,npl]

FOLDER holds one folder per collection: corpus.jsonl(.gz), queries.jsonl, qrels/test.tsv (the layout of BEIR).
Without it: HEARTH_TEST_DATA/ir. Everything goes through the store and the fusion that the knowledge base uses.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rag.embed import SentenceEmbedder
from rag.fusion import fuse
from rag.index import searchable
from rag.manifest import DocumentEntry, Manifest
from rag.sparse import sparse_documents, sparse_query
from rag.store import Scored, Store
from rag.store_edge import EdgeStore
from rag.types import Passage

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ir"
POOL = 50
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    packed = folder / f"{name}.gz"
    with gzip.open(packed, "rt", encoding="utf-8") if packed.exists() else (folder / name).open(encoding="utf-8") as f:
        yield from map(json.loads, f)


def relevance(folder: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        judged[query][document] = int(score)
    return judged


def ndcg(ranking: Sequence[str], judged: dict[str, int], k: int = 10) -> float:
    """Järvelin and Kekäläinen 2002, with linear gains."""
    gains = [judged.get(document, 0) for document in ranking[:k]]
    best = sorted(judged.values(), reverse=True)[:k]

    def discounted(values: Sequence[int]) -> float:
        return sum(value / math.log2(rank + 2) for rank, value in enumerate(values))

    return discounted(gains) / discounted(best) if any(best) else 0.0


def rrf(dense: Sequence[Scored], sparse: Sequence[Scored]) -> list[str]:
    """Reciprocal rank fusion with k=60 (Cormack, Clarke and Büttcher 2009)."""
    scores: dict[str, float] = defaultdict(float)
    for found in (dense, sparse):
        for rank, (passage, _) in enumerate(found):
            scores[passage.source] += 1 / (60 + rank + 1)
    return sorted(scores, key=lambda source: -scores[source])


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


def measure(folder: Path, embedder: SentenceEmbedder) -> None:
    judged = relevance(folder)
    queries = {row["_id"]: row["text"] for row in rows(folder, "queries.jsonl") if row["_id"] in judged}
    with tempfile.TemporaryDirectory() as place:
        store = EdgeStore(Path(place) / "index")
        seconds = build(folder, store, embedder)
        found = {
            key: (
                store.search_dense(embedder.embed_query(text), POOL),
                store.search_sparse(sparse_query(text), POOL),
            )
            for key, text in queries.items()
        }
        store.close()

    def mean(rank: Callable[[Sequence[Scored], Sequence[Scored]], list[str]]) -> str:
        return f"{sum(ndcg(rank(*found[key]), judged[key]) for key in queries) / len(queries):6.3f}"

    columns = [
        mean(lambda dense, sparse: [p.source for p, _ in sparse]),
        mean(lambda dense, sparse: [p.source for p, _ in dense]),
        mean(rrf),
        mean(lambda dense, sparse: [hit.passage.source for hit in fuse(dense, sparse)]),
    ]
    for weight in WEIGHTS:
        columns.append(mean(lambda d, s, weight=weight: [hit.passage.source for hit in fuse(d, s, weight)]))
    print(f"{folder.name:6} {len(queries):5} {seconds:8.1f} " + " ".join(columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    parser.add_argument("--collections", default="adi,cisi")
    arguments = parser.parse_args()
    embedder = SentenceEmbedder()
    print("name   query  embed,s   BM25  dense    RRF  fused " + " ".join(f" w={w:.1f}" for w in WEIGHTS))
    for name in arguments.collections.split(","):
        measure(arguments.folder / name, embedder)


if __name__ == "__main__":
    main()
