"""A second look at what was found: query and passage read together by a cross-encoder, and ordered anew.

Source: Nogueira and Cho 2019, "Passage Re-ranking with BERT". A model is loaded when it is first needed, from
safetensors alone and without code of its own. Knows nothing of stores.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.loading_bar import no_progress_bar
from rag.embed import find_model
from rag.errors import EmbedderError, RerankerError
from rag.types import Hit, Passage

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

STEP = "loading the reranker"
BATCH = 16
MOST_TOKENS = 512
"""Of query and passage together; what is longer is cut off."""
MOST_CHARACTERS = 8000


class Reranker(ABC):
    """Says how well passages answer a query. `name` is what people know it by."""

    name: str

    @abstractmethod
    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One finite number a text, higher is better, in the order given; only differences need mean something."""


class CrossEncoderReranker(Reranker):
    """A sentence-transformers CrossEncoder with one output; safe to share between threads.

    Args:
        model: a hub name or a folder.
        device: as PyTorch names it; None lets sentence-transformers choose.

    Raises (on first use):
        RerankerError: it is not to be found, has no safetensors, or is no cross-encoder with one output.
    """

    def __init__(self, model: str, device: str | None = None) -> None:
        self.name = model
        self._device = device
        self._lock = threading.Lock()

    @cached_property
    def _model(self) -> CrossEncoder:
        try:
            folder = find_model(self.name)
        except EmbedderError as error:
            raise RerankerError(STEP, error.cause, error.remedy) from error
        if not any(folder.glob("*.safetensors")):
            raise RerankerError(STEP, f"{folder} has no safetensors weights", "Choose a model that has them")
        return _load(folder, self._device)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's logits; long texts are cut off, alike lengths share a batch."""
        if not texts:
            return []
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        pairs = [(query[:MOST_CHARACTERS], texts[i][:MOST_CHARACTERS]) for i in order]
        with self._lock:
            found = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False).tolist()
        scores = [0.0] * len(texts)
        for position, value in zip(order, found, strict=True):
            scores[position] = float(value)
        return scores


def rerank(query: str, hits: Sequence[Hit], reranker: Reranker) -> list[Hit]:
    """All hits by the reranker's score, which becomes theirs; of equals the earlier stays before.

    Raises:
        RerankerError: a score is no finite number, or one is missing.
    """
    scores = reranker.score(query, [_read(hit.passage) for hit in hits])
    if len(scores) != len(hits) or not all(math.isfinite(score) for score in scores):
        cause = f"{reranker.name} did not give each passage a number"
        raise RerankerError("ordering what was found", cause, "Choose another reranker")
    scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def _read(passage: Passage) -> str:
    return "\n".join(part for part in (" > ".join(passage.heading), passage.context, passage.text) if part)


def _load(folder: Path, device: str | None) -> CrossEncoder:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import CrossEncoder

    try:
        with no_progress_bar():
            model: CrossEncoder = CrossEncoder(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                max_length=MOST_TOKENS,
                activation_fn=torch.nn.Identity(),
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        cause = f"{folder} cannot be loaded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise RerankerError(STEP, cause, "Choose a sentence-transformers cross-encoder") from error
    if model.num_labels != 1:
        cause = f"{folder} has {model.num_labels} outputs, not one score"
        raise RerankerError(STEP, cause, "Choose a cross-encoder made for reranking")
    return model
