"""`training:` of a recipe becomes the stage's own configuration object, each key checked by name and kind."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

from alignment.errors import RecipeError
from alignment.recipe import STEP, check_known
from alignment.tracking import check_tracking, quiet_environment

if TYPE_CHECKING:
    from alignment.run_folder import RunFolder
    from alignment.sections import Recipe

OURS = {
    "output_dir": "output",
    "seed": "seed",
    "report_to": "tracking",
    "model_init_kwargs": "model",
    "push_to_hub": "",
    "trust_remote_code": "",
    "resume_from_checkpoint": "--resume",
}
"""Keys that another part of the recipe says, or that are never set."""


def training_arguments(recipe: Recipe, folder: RunFolder, config: str, **house: Any) -> Any:
    """An instance of the class that `config` names as "module:class".

    Args:
        house: our defaults for this stage, which the recipe's keys override.

    Raises:
        RecipeError: a key is unknown or said elsewhere, the class refuses a value, or a tracker is not there.
    """
    import torch

    check_tracking(recipe.tracking)
    quiet_environment(recipe.tracking)
    module, _, name = config.partition(":")
    cls = getattr(importlib.import_module(module), name)
    known = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in recipe.training:
        if key in OURS:
            remedy = f"Say it with {OURS[key]}" if OURS[key] else "Leave it out"
            raise RecipeError(STEP, f"training.{key} is not set here", remedy)
        check_known(key, list(known), "training.")
    gpu = torch.cuda.is_available()
    # TRL sets the name that transformers has given up, which would warn; ours is None beside the new one.
    checkpointing = {"gradient_checkpointing": None, "activation_checkpointing": gpu}
    always = {"output_dir": str(folder.path), "seed": recipe.seed, "report_to": list(recipe.tracking) or "none"}
    defaults = {"use_cpu": not gpu, "bf16": gpu, **checkpointing, "disable_tqdm": True, **house}
    values = {key: value for key, value in defaults.items() if key in known}
    values |= {key: _number(value, known[key]) for key, value in recipe.training.items()}
    values |= {key: value for key, value in always.items() if key in known}
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise RecipeError(STEP, f"training: {error}", "Mend the recipe") from error


def _number(value: Any, field: dataclasses.Field[Any]) -> Any:
    """YAML 1.1 reads 1e-4 as text."""
    if isinstance(value, str) and "float" in str(field.type):
        try:
            return float(value)
        except ValueError:
            remedy = "Give a number"
            raise RecipeError(STEP, f"training.{field.name} is {value!r}, no number", remedy) from None
    return value
