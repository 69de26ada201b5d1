"""Text to dense vectors: the `Embedder` interface, and any sentence-transformers model behind it.

The default is all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), whose weights must have the hash of
the published revision. Knows nothing of stores.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag.embed_batches import Tokens
from rag.embed_model import (
    DEFAULT_MODEL,
    DEFAULT_PACKAGE,
    DEFAULT_SHA256,
    STEP,
    Layout,
    find_model,
    hash_configs,
    hash_weights,
    read_layout,
)
from rag.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.embed_runtime import Runtime
    from rag.settings import RagSettings

__all__ = ["DEFAULT_MODEL", "Embedder", "SentenceEmbedder", "collect", "find_model", "open_embedder"]
SLICE = 64


class Embedder(ABC):
    """Maps texts to unit vectors, and counts tokens the way the model does.

    Attributes:
        name: what an index records; two embedders of one name and sha256 give the same vectors.
    """

    name: str

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of the weights, hex."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that a vector depends on, of which the weights are the most; a cache goes by it."""
        return self.sha256

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; what is longer is cut off."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of passages: float32, shape [len(texts), dimension], in the order given."""

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """The same vectors as they become ready: positions in `texts` and a row for each, every position once."""
        for start in range(0, len(texts), SLICE):
            part = texts[start : start + SLICE]
            yield list(range(start, start + len(part))), self.embed(part)

    @abstractmethod
    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query: float32, shape [dimension]."""

    def embed_tokens(self, text: str) -> NDArray[np.float32] | None:
        """Unit vectors of a text's tokens in their context: float32, shape [tokens, width].

        None where none are to be had: many embedders give a vector for the whole text alone.
        """
        return None

    @abstractmethod
    def count(self, text: str) -> int:
        """Tokens in `text`, without the markers that the model adds around it."""

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """`count` of each text."""
        return [self.count(text) for text in texts]


class SentenceEmbedder(Embedder):
    """A sentence-transformers model, loaded on first use; safe to share between threads.

    Args:
        model: a hub name or a folder; empty means the packaged all-MiniLM-L6-v2.
        device: as PyTorch names it; None lets the runtime choose.
        runtime: auto, torch or openvino; see `rag.embed_runtime`.

    Raises (on first use):
        EmbedderError: the model is not to be found, has no safetensors, is not the one it claims to be, or cannot be
            run by the runtime that was asked for.
        MissingExtra: that runtime is not installed.
    """

    def __init__(self, model: str = "", device: str | None = None, runtime: str = "auto") -> None:
        self.name = model or DEFAULT_MODEL
        self._device, self._wanted = device, runtime
        self._lock = threading.RLock()

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are."""
        return find_model(self.name)

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights; for the default model it has been checked against the published one."""
        found = hash_weights(self.folder)
        if self.name == DEFAULT_MODEL and found != DEFAULT_SHA256:
            cause = f"{self.folder} holds other weights than {DEFAULT_MODEL} (sha256 {found[:12]}…)"
            raise EmbedderError(STEP, cause, f"Reinstall the package {DEFAULT_PACKAGE.replace('_', '-')}")
        return found

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights and of the configuration beside them. Runtimes count as the same model."""
        return f"{self.sha256}:{hash_configs(self.folder)}"

    @cached_property
    def layout(self) -> Layout | None:
        """What the files say of the model, where it is of the plain kind."""
        return read_layout(self.folder)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.layout.dimension if self.layout else self.runtime.dimension

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads, its own two markers included."""
        return self.layout.max_tokens if self.layout else self.runtime.max_tokens

    @property
    def runtime(self) -> Runtime:
        """What runs the model; the weights' hash is checked before they are read."""
        with self._lock:
            return self._runtime

    @cached_property
    def _runtime(self) -> Runtime:
        from rag.embed_runtime import choose

        return choose(self.folder, self.fingerprint, self.layout, self._tokens, self._wanted, self._device)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self.folder)

    def count(self, text: str) -> int:
        """Tokens in `text`; needs the tokenizer only, not the weights."""
        return self._tokens.count(text)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens in each text, on all cores."""
        return self._tokens.count_many(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors in the order given."""
        return collect(self, texts)

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Batches of at most BATCH_TOKENS tokens, longest texts first, so that little of a batch is padding."""
        if texts:
            yield from self.runtime.embed_batches(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query, with the model's query prompt where it has one."""
        return self.runtime.embed_query(text)

    def embed_tokens(self, text: str) -> NDArray[np.float32]:
        """Unit vectors of a text's tokens, as the model's last layer has them, its own markers included."""
        return self.runtime.embed_tokens(text)


def collect(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """`embed` by way of `embed_batches`."""
    import numpy as np

    vectors = np.empty((len(texts), embedder.dimension), dtype=np.float32)
    for positions, found in embedder.embed_batches(texts):
        vectors[positions] = found
    return vectors


def open_embedder(settings: RagSettings) -> Embedder:
    """The embedder that the settings ask for, with its cache. Cheap: nothing is loaded before it is used."""
    from rag.embed_cache import with_cache

    return with_cache(SentenceEmbedder(settings.embedder, runtime=settings.runtime), settings)
