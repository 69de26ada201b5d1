"""Does a faster runtime give the reference's vectors? Asked once for each model, version and precision, and noted.

The reference is sentence-transformers. What it gives for the default model lies beside this file, so that nobody has
to wait for PyTorch: `python -m rag.embed_verify` writes it, and a test compares.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.settings import home
from rag.embed_batches import Tokens
from rag.embed_model import DEFAULT_MODEL, DEFAULT_SHA256, find_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.embed_runtime import Runtime

log = logging.getLogger(__name__)
LEAST_COSINE = 0.99
GRAPH = 2
"""Raised when the graph changes: what was noted of the one before does not count."""
REFERENCE = Path(__file__).with_name("all-minilm-l6-v2-probes.safetensors")
REFERENCE_READS = 256
"""Tokens that the default model reads in the reference."""
PROBES = (
    "",
    "hearth",
    "What does the lease say about keeping a dog?",
    "The boiler is serviced every autumn; its certificate hangs beside it.",
    "Übergrößenträger, naïveté, Ελληνικά, русский язык, 日本語の文章, 🔥 and \u200b nothing",
    "x = {'a': [1, 2.5, -3e10]}  # 100% of <b>markup</b> &amp; C:\\path\\file_name.py",
    "A sentence of a passage of the usual length, with a number (1984) and a name, Mrs O'Neill. " * 6,
    "more words than the model reads " * 120,
)


def agrees(fast: Runtime, folder: Path, fingerprint: str, tokens: Tokens) -> bool:
    """Whether every probe's vector has a cosine of at least LEAST_COSINE to the reference's.

    For another model than the default one the first time loads PyTorch, which takes seconds; a finding that cannot be
    noted is found again.
    """
    note = _note(fast, fingerprint)
    cosine = _noted(note)
    if cosine is None:
        known = fingerprint.startswith(DEFAULT_SHA256) and fast.max_tokens == REFERENCE_READS
        cosine = least_cosine(fast, _packed() if known else reference(folder, tokens))
        _write(note, cosine)
    if cosine < LEAST_COSINE:
        log.warning("%s gives other vectors than PyTorch for %s (cosine %.3f).", fast.label, folder, cosine)
    return cosine >= LEAST_COSINE


def least_cosine(fast: Runtime, expected: NDArray[np.float32]) -> float:
    """Over the probes, in batches with padding and one by one; -1 when something is not a number."""
    import numpy as np

    found = np.empty_like(expected)
    for positions, vectors in fast.embed_batches(PROBES):
        found[positions] = vectors
    alone = np.stack([fast.embed_query(text) for text in PROBES])
    least = min(float((expected * found).sum(axis=1).min()), float((expected * alone).sum(axis=1).min()))
    return least if np.isfinite([found, alone]).all() else -1.0


def reference(folder: Path, tokens: Tokens) -> NDArray[np.float32]:
    """The probes' vectors by sentence-transformers, float32, shape [len(PROBES), dimension]."""
    import numpy as np

    from rag.embed_torch import TorchRuntime

    runtime = TorchRuntime(folder, "cpu", tokens)
    return np.stack([runtime.embed_query(text) for text in PROBES])


def _packed() -> NDArray[np.float32]:
    import numpy as np
    from safetensors.numpy import load_file

    vectors = load_file(REFERENCE)["vectors"].astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _note(fast: Runtime, fingerprint: str) -> Path:
    key = hashlib.sha256(f"{fingerprint}|{fast.label}|{GRAPH}".encode()).hexdigest()
    return home() / "cache" / "runtimes" / f"{key[:32]}.json"


def _noted(note: Path) -> float | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))["cosine"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(found) if isinstance(found, (int, float)) and -1 <= found <= 1.001 else None


def _write(note: Path, cosine: float) -> None:
    aside = note.with_suffix(f".{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps({"cosine": cosine}), encoding="utf-8")
        aside.replace(note)
    except OSError as error:
        log.info("%s cannot be written: %s", note, error)


def main() -> None:
    """Write what sentence-transformers gives for the default model, as float16."""
    import numpy as np
    from safetensors.numpy import save_file

    folder = find_model(DEFAULT_MODEL)
    save_file({"vectors": reference(folder, Tokens(folder)).astype(np.float16)}, REFERENCE)


if __name__ == "__main__":
    main()
