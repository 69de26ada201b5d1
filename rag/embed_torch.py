"""The reference runtime: sentence-transformers on PyTorch. Runs every model that sentence-transformers can load."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.loading_bar import no_progress_bar
from rag.embed_batches import TEXTS_AT_ONCE, Tokens, token_batches
from rag.embed_model import STEP
from rag.embed_runtime import BATCH_TOKENS, Runtime
from rag.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer


class TorchRuntime(Runtime):
    """A model in PyTorch, one batch at a time.

    Counting the tokens first costs 0.3% of the time, and saves the padding that batches in any order would have.

    Raises:
        EmbedderError: it cannot be loaded.
    """

    label = "PyTorch"

    def __init__(self, folder: Path, device: str | None, tokens: Tokens) -> None:
        self._model, self._tokens, self._lock = _load(folder, device), tokens, threading.RLock()
        self.dimension = self._model.get_embedding_dimension() or 0
        self.max_tokens = self._model.max_seq_length or 512

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Positions and unit vectors, with the model's document prompt where it has one."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            lengths = [min(count + 2, self.max_tokens) for count in self._tokens.count_many(part)]
            for batch in token_batches(lengths, BATCH_TOKENS):
                with self._lock:
                    vectors = self._model.encode_document([part[i] for i in batch], **_options(len(batch)))
                yield [start + i for i in batch], vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query, with the model's query prompt where it has one."""
        import numpy as np

        with self._lock:
            vector = self._model.encode_query([text], **_options(1))[0]
        return np.asarray(vector, dtype=np.float32)

    def embed_tokens(self, text: str) -> NDArray[np.float32]:
        """Unit vectors of a text's tokens, without any prompt."""
        from torch.nn.functional import normalize

        with self._lock:
            states = self._model.encode([text], output_value="token_embeddings", **_options(1))[0]
        vectors: NDArray[np.float32] = normalize(states.float(), dim=-1).cpu().numpy()
        return vectors


def _options(batch_size: int) -> dict[str, Any]:
    return {"batch_size": batch_size, "normalize_embeddings": True, "show_progress_bar": False}


def _load(folder: Path, device: str | None) -> SentenceTransformer:
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    try:
        with no_progress_bar():
            return SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        cause = f"{folder} cannot be loaded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise EmbedderError(STEP, cause, "Choose a sentence-transformers model") from error
