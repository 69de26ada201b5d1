"""A recipe is read from YAML: one model of one family. Unknown keys are refused with the nearest known name.

load_recipe("ddpm-digits", ["training.budget_seconds=60", "data.source=my/pictures"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from decoder.runs import recipe as reading
from decoder.runs.folder import RunFolder
from generators.families import check_family
from generators.sections import Recipe
from generators.settings import generator_settings

RECIPES = Path(__file__).parent / "recipes"
"""The recipes that ship: `<family>-digits.yaml` for a minute or three on a CPU, others for pictures of one's own."""


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are `key=value`, as in `training.max_steps=20`.

    Relative paths in a recipe are meant from the working directory. A name without a folder and an ending, such as
    `ddpm-digits`, is one that ships.

    Raises:
        RecipeError: the file cannot be read, a key is unknown, or a value is of the wrong kind.
    """
    return make_recipe(reading.read_values(path, overrides, RECIPES))


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain data; the model's keys are checked against its family's. Raises RecipeError."""
    recipe = reading.make(Recipe, values)
    check_family(recipe.family)
    return recipe


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as data that `make_recipe` reads back."""
    return reading.as_plain(recipe)


def fingerprint(recipe: Recipe) -> str:
    """SHA-256 of everything that the recipe says but where its output goes, in hexadecimal."""
    return reading.fingerprint(recipe, ("output", "tracking"))


def folder_of(recipe: Recipe) -> RunFolder:
    """The folder that the recipe's run has, or would have; nothing is made."""
    return RunFolder(
        Path(recipe.output).expanduser() if recipe.output else generator_settings().runs_folder / recipe.name
    )
