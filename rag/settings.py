"""The knowledge base's settings, and where an index of a given name lives."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from decoder.errors import SettingsError, UsageError
from decoder.settings import home, section

STORES = ("edge", "qdrant", "memory")
RUNTIMES = ("auto", "torch", "openvino")
_INDEX_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


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
    """

    store: str = "edge"
    index_folder: str = ""
    qdrant_url: str = "http://127.0.0.1:6333"
    api_key: str = dataclasses.field(default="", repr=False)
    embedder: str = ""
    runtime: str = "auto"
    embed_cache_mb: int = 1024
    chunk_tokens: int = 180
    chunk_overlap: int = 30
    limit: int = 8
    pool: int = 50
    timeout: float = 30.0

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
        if self.limit < 1 or self.pool < 1 or self.timeout <= 0:
            raise SettingsError(step, "rag.limit, rag.pool or rag.timeout is not positive", "Give positive numbers")


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
