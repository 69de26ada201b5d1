"""The faster runtime on a CPU: a BERT as an OpenVINO graph.

The graph is built from the safetensors weights at each start, which takes a fraction of a second: no PyTorch is
imported, and no converted model lies on a disk, where it could age or be tampered with. Where the processor has
bfloat16, OpenVINO computes in it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.embed_batches import TEXTS_AT_ONCE, Tokens, padded, token_batches
from rag.embed_graph import build_graph
from rag.embed_model import Layout
from rag.embed_runtime import BATCH_TOKENS, Runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TELEMETRY = "openvino_telemetry"
VECTORS, STATES = 0, 1
"""Outputs of the graph."""
_importing = threading.Lock()


class OpenVinoRuntime(Runtime):
    """A compiled graph, and a request for each thread. Threads within a batch: OMP_NUM_THREADS where it is set.

    Raises:
        KeyError, ValueError, OSError: the weights are not those of such a model.
        RuntimeError: OpenVINO cannot compile the graph.
    """

    def __init__(self, folder: Path, layout: Layout, tokens: Tokens) -> None:
        openvino = load_openvino()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(threads):
            options["INFERENCE_NUM_THREADS"] = int(threads)
        graph = build_graph(folder, layout.config, openvino)
        self._compiled = openvino.Core().compile_model(graph, "CPU", options)
        self._local, self._tokens = threading.local(), tokens
        self.dimension, self.max_tokens = layout.dimension, layout.max_tokens
        precision = self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.label = f"OpenVINO {openvino.__version__.split('-')[0]}, {precision}"

    def embed_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Positions and unit vectors; every text is tokenised once."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            rows = self._tokens.ids(texts[start : start + TEXTS_AT_ONCE], self.max_tokens)
            for batch in token_batches([len(row) for row in rows], BATCH_TOKENS):
                yield [start + i for i in batch], self._run([rows[i] for i in batch])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query; models of the plain kind have no prompt for it."""
        vector: NDArray[np.float32] = self._run(self._tokens.ids([text], self.max_tokens))[0]
        return vector

    def embed_tokens(self, text: str) -> NDArray[np.float32]:
        """Unit vectors of a text's tokens, the two markers included."""
        import numpy as np

        states: NDArray[np.float32] = self._run(self._tokens.ids([text], self.max_tokens), STATES)[0]
        vectors: NDArray[np.float32] = states / np.linalg.norm(states, axis=1, keepdims=True)
        return vectors

    def _run(self, rows: Sequence[Sequence[int]], output: int = VECTORS) -> NDArray[np.float32]:
        import numpy as np

        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        outputs = self._local.request.infer(list(padded(rows, self._tokens.pad)), share_outputs=True)
        return np.array(outputs[output], dtype=np.float32)  # a copy: the request writes here again


def load_openvino() -> Any:
    """The module `openvino`, imported without its telemetry.

    Importing it sends an event to an analytics server unless the user has opted out; what reads people's documents
    must not. Where `openvino_telemetry` cannot be imported, OpenVINO puts a stub in its place.
    """
    with _importing:
        blocked = TELEMETRY not in sys.modules
        if blocked:
            sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # None is how an import is refused
        try:
            return import_module("openvino")
        finally:
            if blocked:
                sys.modules.pop(TELEMETRY, None)
