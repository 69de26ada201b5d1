"""Texts to batches of token ids: tokenised once, alike lengths together, as many as a budget of tokens allows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag.embed_counts import TokenCounts
from rag.embed_model import STEP
from rag.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

TEXTS_AT_ONCE = 2_048
"""Texts that are tokenised together; their ids are in memory together."""


class Tokens:
    """A model's tokenizer: counts without a limit, ids up to the model's. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def count(self, text: str) -> int:
        """Tokens in `text`, without the markers."""
        return self._counts.count(text)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens in each text; several are tokenised at once, on all cores."""
        return self._counts.count_many(texts)

    def ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids with the markers, cut to `max_tokens`."""
        with self._lock:  # the limit is a state of the tokenizer
            self._cutter.enable_truncation(max_tokens)
            return [encoding.ids for encoding in self._cutter.encode_batch_fast(list(texts))]

    @cached_property
    def pad(self) -> int:
        """The id that fills a row; it is masked, so that any will do."""
        return self._cutter.token_to_id("[PAD]") or 0

    @cached_property
    def _counts(self) -> TokenCounts:
        return TokenCounts(self._load())

    @cached_property
    def _cutter(self) -> Tokenizer:
        return self._load()

    def _load(self) -> Tokenizer:
        from tokenizers import Tokenizer

        path = self._folder / "tokenizer.json"
        if not path.is_file():
            raise EmbedderError(STEP, f"{self._folder} has no tokenizer.json", "Choose a model with a fast tokenizer")
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions of `lengths`, longest first, in batches of at most `budget` tokens once padded (at least one)."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, int64, shape [len(rows), longest row]."""
    import numpy as np

    ids = np.full((len(rows), max(map(len, rows))), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
        mask[row, : len(values)] = 1
    return ids, mask
