"""Any embedder with a memory: what was embedded once, by the same model, is not embedded again.

Vectors are kept batch by batch, so an interrupted run repeats at most the batch that it was in. The key is a hash of
the model, of whether the text is a passage or a query, and of the text: no text is kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from decoder.settings import home
from rag.cache import VectorCache
from rag.embed import Embedder, collect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.settings import RagSettings

MIB = 2**20
QUERIES = 64
"""Query vectors held in memory: one question asks for its own several times."""
Kind = Literal["passage", "query"]


class CachedEmbedder(Embedder):
    """Wraps an embedder; answers from the cache where it can, which needs neither weights nor tokenizer.

    Args:
        inner: computes what is not known. Its `fingerprint` is part of every key.
        cache: where vectors are kept; it is not closed with this object.
    """

    def __init__(self, inner: Embedder, cache: VectorCache) -> None:
        self.inner, self.cache, self.name = inner, cache, inner.name
        self._queries: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.inner.dimension

    @property
    def sha256(self) -> str:
        """Hash of the weights, hex."""
        return self.inner.sha256

    @property
    def fingerprint(self) -> str:
        """Hash of all that a vector depends on."""
        return self.inner.fingerprint

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads."""
        return self.inner.max_tokens

    def count(self, text: str) -> int:
        """Tokens in `text`."""
        return self.inner.count(text)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens in each text."""
        return self.inner.count_many(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors in the order given."""
        return collect(self, texts)

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """What is known comes first, in one batch; a text that is there twice is embedded once."""
        import numpy as np

        places: dict[bytes, list[int]] = defaultdict(list)
        for position, text in enumerate(texts):
            places[self._key("passage", text)].append(position)
        if known := self.cache.get(list(places), self.dimension):
            yield _spread(list(known), np.stack(list(known.values())), places)
        missing = [key for key in places if key not in known]
        for positions, vectors in self.inner.embed_batches([texts[places[key][0]] for key in missing]):
            keys = [missing[position] for position in positions]
            self.cache.put(dict(zip(keys, vectors, strict=True)))
            yield _spread(keys, vectors, places)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query: from memory, else from the cache, else from the model."""
        with self._lock:
            if text in self._queries:
                self._queries.move_to_end(text)
                return self._queries[text].copy()
        key = self._key("query", text)
        vector = self.cache.get([key], self.dimension).get(key)
        if vector is None:
            vector = self.inner.embed_query(text)
            self.cache.put({key: vector})
        with self._lock:
            self._queries[text] = vector.copy()
            if len(self._queries) > QUERIES:
                self._queries.popitem(last=False)
        return vector

    def embed_tokens(self, text: str) -> NDArray[np.float32] | None:
        """Unit vectors of a text's tokens, computed each time: there are hundreds of them."""
        return self.inner.embed_tokens(text)

    def _key(self, kind: Kind, text: str) -> bytes:
        return hashlib.sha256(f"{self.fingerprint}|{kind}|{text}".encode("utf-8", "surrogatepass")).digest()


def _spread(
    keys: Sequence[bytes], vectors: NDArray[np.float32], places: dict[bytes, list[int]]
) -> tuple[list[int], NDArray[np.float32]]:
    """A batch by text as one by position: texts that are there several times have their vector several times."""
    rows = [row for row, key in enumerate(keys) for _ in places[key]]
    return [position for key in keys for position in places[key]], vectors[rows]


def with_cache(embedder: Embedder, settings: RagSettings) -> Embedder:
    """The embedder with the cache that the settings ask for, which may be none."""
    if settings.embed_cache_mb == 0:
        return embedder
    return CachedEmbedder(embedder, VectorCache(home() / "cache" / "embeddings", settings.embed_cache_mb * MIB))
