"""What runs an embedding model: PyTorch through sentence-transformers, or OpenVINO where it gives the same vectors.

`auto` takes OpenVINO when it is installed, the model is of the plain kind and no GPU stands by; a faster path that
gave other vectors would be no gain, so a model is compared with its reference once, and the finding noted.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import MissingExtra
from rag.embed_model import STEP, Layout
from rag.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.embed_batches import Tokens

log = logging.getLogger(__name__)
BATCH_TOKENS = 2048
GPU = Path("/dev/nvidiactl")


class Runtime(ABC):
    """A loaded model. Safe to share between threads.

    Attributes:
        label: for people: what runs it.
    """

    label: str
    dimension: int
    max_tokens: int

    @abstractmethod
    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Positions and unit vectors, batch by batch; every position once."""

    @abstractmethod
    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query."""

    @abstractmethod
    def embed_tokens(self, text: str) -> NDArray[np.float32]:
        """Unit vectors of a text's tokens, as the last layer has them: shape [tokens, width]."""


def choose(
    folder: Path, fingerprint: str, layout: Layout | None, tokens: Tokens, wanted: str, device: str | None
) -> Runtime:
    """The runtime for a model.

    Raises:
        EmbedderError: the model cannot be loaded, or not by the runtime `wanted`.
        MissingExtra: that runtime is not installed.
    """
    from rag.embed_torch import TorchRuntime

    if wanted == "openvino" or (wanted == "auto" and _on_cpu(device)):
        found = _openvino(folder, fingerprint, layout, tokens)
        if isinstance(found, Runtime):
            return found
        if wanted == "openvino":
            if find_spec("openvino") is None:
                raise MissingExtra(STEP, "openvino", "rag")
            raise EmbedderError(STEP, f"OpenVINO cannot run {folder}: {found}", "Set HEARTH_RAG_RUNTIME=auto")
    return TorchRuntime(folder, device, tokens)


def _on_cpu(device: str | None) -> bool:
    """Whether a CPU would run the model; asking PyTorch for its GPUs would cost seconds."""
    return device == "cpu" or (device is None and not GPU.exists())


def _openvino(folder: Path, fingerprint: str, layout: Layout | None, tokens: Tokens) -> Runtime | str:
    """The model in OpenVINO, or why not. What is not to be expected is logged."""
    obstacle = _obstacle(layout)
    if layout is None or obstacle:
        return obstacle
    if find_spec("openvino") is None:
        return "it is not installed"
    from rag.embed_openvino import OpenVinoRuntime
    from rag.embed_verify import agrees

    try:
        fast = OpenVinoRuntime(folder, layout, tokens)
    except (ImportError, RuntimeError, KeyError, ValueError, OSError) as error:
        log.warning("OpenVINO cannot run %s (%s).", folder, str(error).split("\n")[0])
        return "it cannot load it"
    return fast if agrees(fast, folder, fingerprint, tokens) else "its vectors are not those of PyTorch"


def _obstacle(layout: Layout | None) -> str:
    """Why the graph in `rag.embed_openvino` is not this model; empty when it is."""
    if layout is None:
        return "it is not a transformer with the mean over its tokens and a fast tokenizer"
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    found = {"position_embedding_type": "absolute"} | {k: v for k, v in layout.config.items() if k in expected}
    if layout.max_tokens > int(layout.config.get("max_position_embeddings", 0)):
        return f"it has fewer positions than the {layout.max_tokens} tokens that it reads"
    differs = [key for key, value in expected.items() if found.get(key) != value]
    return f"its {differs[0]} is {found.get(differs[0])!r}" if differs else ""
