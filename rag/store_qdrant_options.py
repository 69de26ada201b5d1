"""The settings as Qdrant's own parameters: how a collection is made, and how it is searched."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from rag.settings import RagSettings
from rag.settings_qdrant import metadata_indexes

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import SearchParams

COMPRESSION = "x16"
"""Of product quantization: 64 bytes of float32 become 4."""


def collection_options(settings: RagSettings, dimension: int) -> dict[str, Any]:
    """Arguments of `create_collection` for passages: one dense and one sparse vector, BM25's frequencies inverted."""
    from qdrant_client import models

    disk = settings.qdrant_on_disk_vectors
    dense = models.VectorParams(size=dimension, distance=models.Distance.COSINE, on_disk=disk)
    sparse = models.SparseVectorParams(
        modifier=models.Modifier.IDF, index=models.SparseIndexParams(on_disk=True) if disk else None
    )
    return {
        **spread(settings),
        "vectors_config": {"dense": dense},
        "sparse_vectors_config": {"sparse": sparse},
        "on_disk_payload": settings.qdrant_on_disk_payload,
        "hnsw_config": models.HnswConfigDiff(m=settings.hnsw_m, ef_construct=settings.hnsw_ef_construct, on_disk=disk),
        "quantization_config": _quantization(settings.qdrant_quantization),
    }


def spread(settings: RagSettings) -> dict[str, Any]:
    """How a collection is spread over a cluster; texts and manifests are spread like passages."""
    return {
        "shard_number": settings.qdrant_shard_number,
        "replication_factor": settings.qdrant_replication_factor,
        "write_consistency_factor": settings.qdrant_write_consistency_factor,
    }


def _quantization(kind: str) -> Any:
    """The small copies stay in memory, wherever the original vectors are."""
    from qdrant_client import models

    if kind == "scalar":
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        return models.ScalarQuantization(scalar=scalar)
    if kind == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    if kind == "product":
        ratio = models.CompressionRatio(COMPRESSION)
        return models.ProductQuantization(product=models.ProductQuantizationConfig(compression=ratio, always_ram=True))
    return None


def search_params(settings: RagSettings, passages: int, dense: bool) -> SearchParams | None:
    """How to search an index of so many passages: exactly while that is fast, through the graph above.

    None in this process's memory, where every search is exact. Sparse search is always exact.
    """
    from qdrant_client import models

    if settings.store == "memory":
        return None
    if not dense or passages <= settings.exact_below:
        return models.SearchParams(exact=True)
    quantization = None
    if settings.qdrant_quantization != "none":
        quantization = models.QuantizationSearchParams(
            rescore=settings.qdrant_rescore, oversampling=settings.qdrant_oversampling
        )
    return models.SearchParams(hnsw_ef=settings.hnsw_ef, quantization=quantization)


def create_indexes(client: QdrantClient, collection: str, settings: RagSettings) -> None:
    """Payload indexes on what every search filters by, and on the metadata whose bounds the settings want indexed."""
    from qdrant_client import models

    kinds = models.PayloadSchemaType
    schemas: dict[str, Any] = {
        "source": kinds.KEYWORD,
        "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
        "readers": kinds.KEYWORD,
        "facts": kinds.KEYWORD,
        "id": kinds.UUID,
        "born": kinds.INTEGER,
        "died": kinds.INTEGER,
    }
    schemas |= {f"metadata.{name}": kinds(kind) for name, kind in metadata_indexes(settings).items()}
    with warnings.catch_warnings():  # the client in memory says that it has no payload indexes
        warnings.simplefilter("ignore")
        for name, schema in schemas.items():
            client.create_payload_index(collection, name, schema, wait=True)
        client.create_payload_index(f"{collection}.texts", "key", kinds.KEYWORD, wait=True)
        client.create_payload_index(f"{collection}.texts", "born", kinds.INTEGER, wait=True)
