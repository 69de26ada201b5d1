"""A recipe is read from YAML: one stage, wholly described. Unknown keys are refused with the nearest known name.

load_recipe("alignment/recipes/sft-small.yaml", ["training.max_steps=20", "data.train=mine.jsonl"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment.sections import Recipe
from decoder.runs import recipe as reading

RECIPES = Path(__file__).parent / "recipes"
"""The recipes that ship: `<stage>-small.yaml` for minutes on a CPU, `<stage>-8b.yaml` for one GPU."""


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are `key=value`, as in `training.learning_rate=1e-4`.

    Relative paths in a recipe are meant from the working directory. A name without a folder and an ending, such as
    `sft-small`, is one that ships.

    Raises:
        RecipeError: the file cannot be read, a key is unknown, or a value is of the wrong kind.
    """
    return make_recipe(read_values(path, overrides))


def read_values(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe's keys as they stand in the file, overrides put in. Raises RecipeError."""
    return reading.read_values(path, overrides, RECIPES)


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain data. Raises RecipeError."""
    return reading.make(Recipe, values)


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as data that `make_recipe` reads back."""
    return reading.as_plain(recipe)


def fingerprint(recipe: Recipe) -> str:
    """SHA-256 of everything that the recipe says but where its output goes, in hexadecimal."""
    return reading.fingerprint(recipe, ("output", "tracking", "register"))
