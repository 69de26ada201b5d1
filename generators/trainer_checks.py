"""What a recipe's training section must not say, and whether the data is still what the run began with."""

from __future__ import annotations

from typing import Any

from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder
from generators.errors import DataError
from generators.pictures import Pictures, Split
from generators.sections import Recipe, TrainingSection

STEP = "reading the recipe"


def check_training(section: TrainingSection) -> None:
    """Refuse limits and sizes that nothing can be trained with. Raises RecipeError."""
    if not section.max_steps and not section.budget_seconds:
        cause = "training.max_steps and training.budget_seconds are both 0: the run would never end"
        raise RecipeError(STEP, cause, "Set one of them")
    for name in ("batch_size", "gradient_accumulation"):
        if getattr(section, name) < 1:
            raise RecipeError(STEP, f"training.{name} is {getattr(section, name)}", "Give 1 or more")
    for name in ("max_steps", "budget_seconds", "warmup_steps", "max_grad_norm", "checkpoint_seconds"):
        _not_negative(section, name)
    for name in ("sample_every", "evaluate_every", "early_stop", "threads"):
        _not_negative(section, name)
    if not 0 <= section.ema_decay < 1:
        raise RecipeError(STEP, f"training.ema_decay is {section.ema_decay}", "Give one from 0 to below 1, as 0.995")
    if section.early_stop and not section.evaluate_every:
        cause = "training.early_stop waits for evaluations, and training.evaluate_every is 0"
        raise RecipeError(STEP, cause, "Set training.evaluate_every")


def check_data(recipe: Recipe, split: Split) -> None:
    """Refuse to train on nothing, or on one picture held out of none. Raises DataError."""
    for name, part in (("train on", split.train), ("hold out", split.test)):
        if not len(part):
            cause = f"{recipe.data.source} leaves no picture to {name} ({len(split.skipped)} were skipped)"
            raise DataError("reading the data", cause, "Give more pictures, or another data.test_fraction")


def data_state(recipe: Recipe, split: Split) -> dict[str, Any]:
    """What run.json says of the data."""
    return {
        "source": split.train.source or recipe.data.source,
        "train": len(split.train),
        "test": len(split.test),
        "size": split.train.size,
        "channels": split.train.channels,
        "classes": split.train.classes,
        "captions": len(split.train.captions),
        "targets": len(split.train.targets) if split.train.targets is not None else 0,
        "skipped": len(split.skipped),
        "skipped_pictures": [f"{each.name}: {each.reason}" for each in split.skipped[:1000]],
        "sha256": data_hash(split),
    }


def check_same_data(folder: RunFolder, state: dict[str, Any]) -> None:
    """Refuse to go on with a run on other pictures than it began with: its order of them would mean nothing.

    Raises DataError.
    """
    known = folder.state.get("data")
    if isinstance(known, dict) and known.get("sha256") != state["sha256"]:
        cause = f"{state['source']} does not hold the pictures that the run in {folder.path} began with"
        raise DataError("reading the data", cause, "Bring them back, or begin anew in another output")


def data_hash(split: Split) -> str:
    """SHA-256 of all pictures, labels, captions and targets, in hexadecimal."""
    import hashlib

    digest = hashlib.sha256()
    for part in (split.train, split.test):
        _add(digest, part)
    return digest.hexdigest()


def _add(digest: Any, pictures: Pictures) -> None:
    for tensor in (pictures.images, pictures.labels, pictures.targets):
        digest.update(b"" if tensor is None else tensor.contiguous().numpy().data)
        digest.update(repr(None if tensor is None else tuple(tensor.shape)).encode())
    digest.update(repr((pictures.captions, pictures.class_names, pictures.paired)).encode())


def _not_negative(section: TrainingSection, name: str) -> None:
    if getattr(section, name) < 0:
        raise RecipeError(STEP, f"training.{name} is {getattr(section, name)}", "Give 0 or more")
