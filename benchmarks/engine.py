"""How the in-process engine's options trade time for recall: what the edge store's own were chosen by.

    python -m benchmarks.engine --cache FOLDER [--sentences 100000] [--only NAME,...] [--out TABLE.md]

On sentences of books. Each variant is an index of its own, built from the same vectors (embedded once, kept in
FOLDER) and asked the same held-out sentences and SQuAD questions. Recall is that of the exact ten nearest, by numpy.
Wall times depend on what else the machine does; CPU times much less. Talks to the engine directly:
`benchmarks/scale.py` measures the store.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.books import DATA, Line, held_out_queries, sample, vectors
from rag.embed import SentenceEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAREST = 10
LIMIT = 50
"""Points fetched with their payload: what retrieval asks for."""


@dataclass(frozen=True, slots=True)
class Variant:
    """An index. Without `m` it has no graph and is searched exactly."""

    name: str
    m: int = 0
    ef_construct: int = 100
    int8: bool = False
    segments: int = 1
    efs: tuple[int, ...] = (64, 128, 256)
    float16: bool = False


VARIANTS = (
    Variant("plain"),
    Variant("m16-efc100", m=16),
    Variant("m16-efc200", m=16, ef_construct=200),
    Variant("m32-efc200", m=32, ef_construct=200),
    Variant("plain-int8", int8=True),
    Variant("m16-efc100-int8", m=16, int8=True),
    Variant("m16-efc100-4-segments", m=16, segments=4),
    Variant("plain-float16", float16=True),
    Variant("m32-efc100", m=32),
)


def build(variant: Variant, folder: Path, lines: Sequence[Line], dense: NDArray[np.float32]) -> tuple[float, float]:
    """Make the index in `folder`; returns seconds for the upserts and for the optimizer."""
    import qdrant_edge as edge

    size = len(lines) * dense.shape[1] * 4 // 1000
    config = edge.EdgeConfig(
        vectors={
            "dense": edge.EdgeVectorParams(
                size=dense.shape[1],
                distance=edge.Distance.Cosine,
                datatype=edge.VectorStorageDatatype.Float16 if variant.float16 else None,
            )
        },
        hnsw_config=edge.HnswIndexConfig(m=variant.m, ef_construct=variant.ef_construct, full_scan_threshold=10),
        quantization_config=edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99)
        if variant.int8
        else None,
        optimizers=edge.EdgeOptimizersConfig(
            indexing_threshold=1 if variant.m or variant.int8 else 10**9,
            default_segment_number=variant.segments,
            max_segment_size=10**9 if variant.segments == 1 else size // variant.segments + 10_000,
        ),
        wal_enabled=False,
    )
    shard = edge.EdgeShard.create(str(folder), config)
    started = time.perf_counter()
    for begin in range(0, len(lines), 256):
        points = [
            edge.Point(
                str(uuid.UUID(int=i)),
                {"dense": dense[i].tolist()},
                {"text": lines[i].text, "source": lines[i].book},
            )
            for i in range(begin, min(begin + 256, len(lines)))
        ]
        shard.update(edge.UpdateOperation.upsert_points(points))
    upserted = time.perf_counter()
    shard.optimize()
    shard.flush()
    ready = time.perf_counter()
    shard.close()
    return upserted - started, ready - upserted


def searches(variant: Variant) -> Iterator[tuple[str, Any]]:
    """Ways to search it: a label and the parameters."""
    from qdrant_edge import QuantizationSearchParams, SearchParams

    yield "exact", SearchParams(exact=True)
    if variant.int8:
        for label, how in (
            ("int8", QuantizationSearchParams(rescore=False)),
            ("int8 rescored", QuantizationSearchParams(rescore=True)),
            ("int8 x3 rescored", QuantizationSearchParams(rescore=True, oversampling=3.0)),
        ):
            for ef in variant.efs[1:2] if variant.m else (None,):
                yield f"{label}{f' ef {ef}' if ef else ''}", SearchParams(hnsw_ef=ef, quantization=how)
    elif variant.m:
        yield from ((f"ef {ef}", SearchParams(hnsw_ef=ef)) for ef in variant.efs)


def ask(shard: Any, params: Any, queries: NDArray[np.float32], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """p50 and p95 in ms, CPU ms a query, recall of the true nearest."""
    from qdrant_edge import Query, QueryRequest

    times, met = [], 0
    requests = [
        QueryRequest(limit=LIMIT, query=Query.Nearest(q.tolist(), using="dense"), with_payload=True, params=params)
        for q in queries
    ]
    for request in requests[:20]:
        shard.query(request)
    cpu = time.process_time()
    for request, nearest in zip(requests, truth, strict=True):
        started = time.perf_counter()
        points = shard.query(request)
        times.append((time.perf_counter() - started) * 1000)
        met += len({uuid.UUID(str(point.id)).int for point in points[:NEAREST]} & set(nearest.tolist()))
    cpu = (time.process_time() - cpu) * 1000 / len(requests)
    p95 = sorted(times)[int(0.95 * len(times))]
    return statistics.median(times), p95, cpu, met / truth.size


def nearest(dense: NDArray[np.float32], queries: NDArray[np.float32], count: int = NEAREST) -> NDArray[np.int64]:
    """Positions of the exact `count` nearest by cosine, best first, shape [len(queries), count]."""
    import numpy as np

    return np.stack([np.argsort(-(dense @ query), kind="stable")[:count] for query in queries])


def main() -> None:
    """Print the table, a row for each way to search each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--first", type=int, help="index this many of the sentences only")
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    embedder = SentenceEmbedder()
    lines, others = sample(options.sentences, 250)
    lines = lines[: options.first]
    dense = vectors([line.text for line in lines], embedder, options.cache)
    texts = held_out_queries(others, 250, DATA)
    queries = vectors(texts, embedder, options.cache)[:: max(1, len(texts) // options.queries)]
    truth = nearest(dense, queries)
    rows = [
        f"{len(lines)} sentences, {len(queries)} queries, limit {LIMIT} with payload; recall@{NEAREST} against numpy",
        "",
        "| index | search | p50 ms | p95 ms | CPU ms | recall@10 | upsert s | optimize s | segments | graph | MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(rows))
    wanted = [name for name in options.only.split(",") if name]
    for variant in [v for v in VARIANTS if not wanted or v.name in wanted]:
        fresh = list(_rows(variant, lines, dense, queries, truth))
        print("\n".join(fresh), flush=True)
        rows += fresh
        if options.out:
            options.out.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _rows(variant: Variant, lines: Sequence[Line], dense: Any, queries: Any, truth: Any) -> Iterator[str]:
    import qdrant_edge as edge

    place = Path(tempfile.mkdtemp())
    try:
        folder = place / "shard"
        folder.mkdir()
        upsert, optimize = build(variant, folder, lines, dense)
        size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 2**20
        shard = edge.EdgeShard.load(str(folder))
        info = shard.info()
        for label, params in searches(variant):
            p50, p95, cpu, recall = ask(shard, params, queries, truth)
            yield (
                f"| {variant.name} | {label} | {p50:.1f} | {p95:.1f} | {cpu:.1f} | {recall:.4f} | {upsert:.1f} "
                f"| {optimize:.1f} | {info.segments_count} | {info.indexed_vectors_count} | {size:.0f} |"
            )
        shard.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
