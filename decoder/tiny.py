"""hearth-tiny: the very small decoder that comes with the house, and answers where there is no other.

Knows where its files are and whether they can be used; `embedded.py` runs it, and so does any server.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from decoder.errors import UsageError

NAME = "hearth-tiny"
WEIGHTS = "model.safetensors"


def path() -> Path:
    """The packaged folder: a transformers model, its tokenizer and its chat template."""
    return Path(__file__).parent / "models" / NAME


def is_there() -> bool:
    """Whether the weights came with the package."""
    return (path() / WEIGHTS).is_file()


def is_usable() -> bool:
    """Whether it can run in this process: the weights are there, and what `EmbeddedDecoder` loads them with."""
    return is_there() and all(importlib.util.find_spec(name) for name in ("torch", "transformers"))


def resolve(model: str | Path) -> str | Path:
    """The packaged folder where `model` is its name and no folder here is called so; else `model` as it is.

    Raises UsageError where the name is meant and the weights are not there: no hub has a model of that name.
    """
    if str(model) != NAME or Path(model).is_dir():
        return model
    if not is_there():
        remedy = "Train it with `make tiny`; docs/hearth-tiny.md says how its weights come into the package"
        raise UsageError("choosing a model", f"the weights of {NAME} are not in {path()}", remedy)
    return path()
