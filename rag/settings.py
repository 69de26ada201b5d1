"""The knowledge base's settings, and where an index of a given name lives."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from decoder.errors import SettingsError, UsageError
from decoder.settings import home, section
from rag.settings_qdrant import check_qdrant

STORES = ("edge", "qdrant", "memory")
OCR = ("auto", "off")
RUNTIMES = ("auto", "torch", "openvino")
_INDEX_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """HNSW (Malkov and Yashunin 2018) in a shard of more than `above` passages; the paper's names of its parameters."""

    above: int = 50_000
    m: int = 16
    ef_construct: int = 200
    ef: int = 256


@dataclass(frozen=True, slots=True)
class RagSettings:
    """Section `[rag]`: how documents are cut, embedded, kept and found.

    Attributes:
        store: edge (Qdrant's engine in this process), qdrant (a server) or memory (nothing is kept).
        index_folder: where in-process indexes live; empty means `indexes` in `decoder.settings.home()`.
        qdrant_url: the server's address, for store "qdrant".
        api_key: the server's key: HEARTH_RAG_API_KEY, never in the file.
        embedder: a sentence-transformers model by name or folder; empty means all-MiniLM-L6-v2.
        runtime: what runs it: torch, openvino, or auto for the faster of them where it gives the same vectors.
        embed_cache_mb: most MiB of vectors kept from run to run; 0 switches the cache off.
        chunk_tokens: most tokens of a passage, counted by the embedder.
        chunk_overlap: tokens that a passage repeats of the one before it.
        limit: passages that a search returns.
        pool: passages that dense and sparse search each hand to the fusion.
        timeout: seconds that one request to the server may take.
        qdrant_grpc, qdrant_grpc_port: talk gRPC to the server (faster to write), at this port.
        qdrant_shard_number: parts that a new collection is cut into, to spread over a cluster's nodes.
        qdrant_replication_factor: copies of each part.
        qdrant_write_consistency_factor: copies that must have a write before it is acknowledged.
        qdrant_on_disk_vectors, qdrant_on_disk_payload: keep them on the disk, not in memory.
        qdrant_quantization: none, scalar (a quarter of the memory), product or binary; the originals stay.
        qdrant_rescore: weigh what quantized search found again by the original vectors.
        qdrant_oversampling: how many times the limit quantized search hands to that; 1 to 100.
        exact_below: passages up to which dense search compares with every one of them; above, with an HNSW graph.
        hnsw_m, hnsw_ef_construct, hnsw_ef: the graph's edges a node, and candidates when building and searching it.
        qdrant_metadata_indexes: metadata fields to index for filters, such as "author:keyword, year:integer".
        ray_address: of a Ray cluster for `--engine ray`, as host:port; "local" starts one on this machine.
        ray_cpus: cores that a local Ray uses; 0 means all.
        ray_embedders: embedding workers; 0 means half of the cores.
        ocr: auto (Tesseract, where installed, reads scanned pages and pictures) or off.
        ocr_languages: names of Tesseract's language data, such as eng or eng+deu.
        pdf_passwords: tried on encrypted PDFs, one a line: HEARTH_RAG_PDF_PASSWORDS, never in the file.
    """

    store: str = "edge"
    index_folder: str = ""
    qdrant_url: str = "http://127.0.0.1:6333"
    api_key: str = dataclasses.field(default="", repr=False)
    embedder: str = ""
    runtime: str = "auto"
    embed_cache_mb: int = 1024
    chunk_tokens: int = 220
    chunk_overlap: int = 0
    limit: int = 8
    pool: int = 100
    timeout: float = 30.0
    exact_below: int = 50_000
    hnsw_m: int = 16
    hnsw_ef_construct: int = 200
    hnsw_ef: int = 256
    qdrant_grpc: bool = False
    qdrant_grpc_port: int = 6334
    qdrant_shard_number: int = 1
    qdrant_replication_factor: int = 1
    qdrant_write_consistency_factor: int = 1
    qdrant_on_disk_vectors: bool = False
    qdrant_on_disk_payload: bool = True
    qdrant_quantization: str = "none"
    qdrant_rescore: bool = True
    qdrant_oversampling: float = 2.0
    qdrant_metadata_indexes: str = ""
    ray_address: str = "local"
    ray_cpus: int = 0
    ray_embedders: int = 0
    ocr: str = "auto"
    ocr_languages: str = "eng"
    pdf_passwords: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        step = "reading settings"
        if self.store not in STORES:
            raise SettingsError(step, f"rag.store is {self.store!r}", f"Choose one of {', '.join(STORES)}")
        if self.runtime not in RUNTIMES:
            raise SettingsError(step, f"rag.runtime is {self.runtime!r}", f"Choose one of {', '.join(RUNTIMES)}")
        if self.embed_cache_mb < 0:
            raise SettingsError(step, "rag.embed_cache_mb is negative", "Give a number of MiB, or 0 for no cache")
        if not 16 <= self.chunk_tokens <= 100_000 or not 0 <= self.chunk_overlap <= self.chunk_tokens // 2:
            cause = f"rag.chunk_tokens={self.chunk_tokens} with rag.chunk_overlap={self.chunk_overlap}"
            raise SettingsError(step, cause, "Give at least 16 tokens, and an overlap of at most half of them")
        if self.ocr not in OCR:
            raise SettingsError(step, f"rag.ocr is {self.ocr!r}", f"Choose one of {', '.join(OCR)}")
        if self.limit < 1 or self.pool < 1 or self.timeout <= 0:
            raise SettingsError(step, "rag.limit, rag.pool or rag.timeout is not positive", "Give positive numbers")
        if self.exact_below < 1000 or not 4 <= self.hnsw_m <= 128 or min(self.hnsw_ef_construct, self.hnsw_ef) < 10:
            cause = f"rag.exact_below={self.exact_below}, hnsw_m={self.hnsw_m}, or an ef below 10"
            raise SettingsError(step, cause, "Give exact_below of 1000 or more, hnsw_m of 4 to 128, ef of 10 or more")
        if self.ray_cpus < 0 or self.ray_embedders < 0 or not self.ray_address.strip():
            raise SettingsError(
                step, "rag.ray_* has a number below 0 or no address", 'Give 0 for all, "local" for none'
            )
        check_qdrant(self)

    @property
    def graph(self) -> GraphOptions:
        """When and how an in-process shard is given a graph."""
        return GraphOptions(self.exact_below, self.hnsw_m, self.hnsw_ef_construct, self.hnsw_ef)


def rag_settings() -> RagSettings:
    """The section `[rag]` of the settings; raises SettingsError."""
    return section("rag", RagSettings)


def is_index_name(name: str) -> bool:
    """Whether `name` can name an index, a folder and a collection."""
    return _INDEX_NAME.fullmatch(name) is not None


def check_index_name(name: str) -> str:
    """`name` itself when it can name an index; raises UsageError otherwise."""
    if not is_index_name(name):
        remedy = "Use 1 to 64 letters, digits, - or _, beginning with a letter or a digit"
        raise UsageError("opening the knowledge base", f"{name!r} cannot be a name", remedy)
    return name


def index_folder(settings: RagSettings) -> Path:
    """The folder that holds one folder per in-process index."""
    return Path(settings.index_folder).expanduser() if settings.index_folder else home() / "indexes"
