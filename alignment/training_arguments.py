"""`training:` of a recipe becomes the stage's own configuration object, each key checked by name and kind."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from decoder.errors import RecipeError
from decoder.runs.recipe import STEP, check_known
from decoder.runs.tracking import check_tracking, quiet_environment

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder

OURS = {
    "output_dir": "output",
    "seed": "seed",
    "report_to": "tracking",
    "model_init_kwargs": "model",
    "chat_template_path": "model.chat_template",
    "dataset_text_field": "data.columns",
    "dataset_kwargs": "",
    "eos_token": "",
    "pad_token": "",
    "push_to_hub": "",
    "trust_remote_code": "",
    "resume_from_checkpoint": "--resume",
}
"""Keys that another part of the recipe says, or that are never set: with some, TRL would train on other tokens than
those that the guard has looked at."""
NAMES = {bool: "true or false", int: "a whole number", float: "a number"}
COUNTS = ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps")
STRATEGIES = ("eval_strategy", "save_strategy", "logging_strategy")


def training_arguments(recipe: Recipe, folder: RunFolder, config: str, **house: Any) -> Any:
    """An instance of the class that `config` names as "module:class".

    Args:
        house: our defaults for this stage, which the recipe's keys override.

    Raises:
        RecipeError: a key is unknown or said elsewhere, a value is of another kind or refused by the class, or a
            tracker is not there.
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
    values |= _values(cls, recipe.training)
    values |= {key: value for key, value in always.items() if key in known}
    try:
        return cls(**values)
    except (ValueError, TypeError, OSError, ImportError) as error:  # a file of DeepSpeed's, or what it needs
        raise RecipeError(STEP, f"training: {error}", "Mend the recipe") from error


def _values(cls: type, training: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's values, each of the kind that the class says: transformers itself trips over them only later."""
    hints = typing.get_type_hints(cls)
    return {key: _value(key, value, hints[key]) for key, value in training.items()}


def _value(key: str, value: Any, hint: Any) -> Any:
    """The value; what is not one of NAMES in the class is left to the class."""
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
    if value is False and key in STRATEGIES:
        return "no"  # which YAML 1.1 reads as false
    if value is None or len(kinds) != 1 or kinds[0] not in NAMES:
        return value
    made = _as_kind(value, kinds[0])
    if made is None:
        raise RecipeError(STEP, f"training.{key} is {value!r}, not {NAMES[kinds[0]]}", f"Give {NAMES[kinds[0]]}")
    if key in COUNTS and made < 1:
        raise RecipeError(STEP, f"training.{key} is {value!r}", "Give at least 1")
    return made


def _as_kind(value: Any, kind: type) -> Any:
    """The value as a bool, int or float; None when it is none. YAML 1.1 reads 1e-4 as text."""
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else None
    if kind is float and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, (int, float)) or value != value:
        return None
    if kind is float:
        return value
    return value if isinstance(value, int) else int(value) if value.is_integer() else None
