"""Recipes that ship, for the form: what each is for, what it says, and a recipe as the form asks, checked strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from decoder.errors import RecipeError

FIRST = "vae-digits-conditional"
"""What the first model is made with: digits by class, drawn at once, with codes to walk between."""
FIRST_OVERRIDES = (
    "training.budget_seconds=30",
    "training.sample_every=100",
    "training.evaluate_every=0",
    "training.early_stop=0",
)
OURS = ("output", "name", "tracking")
"""Keys that the page sets itself, or keeps empty."""
MOST_OVERRIDES = 50


@dataclass(frozen=True, slots=True)
class ShippedRecipe:
    """A recipe that ships: its name, what it is for, and its text."""

    name: str
    about: str
    text: str


@lru_cache(maxsize=1)
def shipped() -> tuple[ShippedRecipe, ...]:
    """The recipes that ship, by name."""
    from generators.recipe import RECIPES

    texts = [(file.stem, file.read_text(encoding="utf-8")) for file in sorted(RECIPES.glob("*.yaml"))]
    return tuple(ShippedRecipe(name, _about(text), text) for name, text in texts)


def defaults(name: str) -> dict[str, Any]:
    """What the form shows of a recipe before it is changed. Raises RecipeError."""
    from generators.recipe import load_recipe

    recipe = load_recipe(name)
    training = recipe.training
    grids = training.sample_every or (
        100 if recipe.family in ("ddpm", "flow_matching", "latent_text_to_image") else 500
    )
    return {
        "source": recipe.data.source,
        "size": recipe.data.size,
        "seed": recipe.seed,
        "seconds": training.budget_seconds,
        "steps": training.max_steps,
        "grids": grids,
    }


def overrides_of(form: Mapping[str, Any], more: str) -> list[str]:
    """`key=value` as `load_recipe` takes them: the form's, then a person's own lines. Raises RecipeError."""
    own = [line.strip() for line in more.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(own) > MOST_OVERRIDES:
        raise RecipeError("reading the recipe", f"{len(own)} keys are set", f"Set {MOST_OVERRIDES} at most")
    for line in own:
        if line.partition("=")[0].strip().partition(".")[0] in OURS:
            cause = f"{line.partition('=')[0].strip()} is set by this page"
            raise RecipeError("reading the recipe", cause, "Leave it out")
    keys = {
        "source": "data.source",
        "size": "data.size",
        "seed": "seed",
        "seconds": "training.budget_seconds",
        "steps": "training.max_steps",
        "grids": "training.sample_every",
    }
    return [f"{keys[name]}={_as_yaml(value)}" for name, value in form.items()] + own


def check(name: str, overrides: Sequence[str]) -> None:
    """Refuse what could not be trained, before a process is started. Raises RecipeError."""
    from generators.families import family_config
    from generators.recipe import load_recipe
    from generators.trainer_checks import check_training

    if name not in [each.name for each in shipped()]:
        raise RecipeError("reading the recipe", "there is no such recipe", "Choose one of the list")
    recipe = load_recipe(name, overrides)
    if not recipe.training.budget_seconds and not recipe.training.max_steps:
        raise RecipeError("reading the recipe", "nothing ends the training", "Give seconds or steps")
    family_config(recipe.family, recipe.model)
    check_training(recipe.training)


def _as_yaml(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _about(text: str) -> str:
    """The comment that a recipe begins with, as one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
