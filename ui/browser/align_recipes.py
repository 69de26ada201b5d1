"""Recipes of the alignment page: those that ship, a person's own, and the few settings that a form asks for first.

A recipe's values are split into the form's and the rest, which is edited as YAML, and put together again; what comes of
it is read by alignment's own strict reader.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.recipe import RECIPES, make_recipe, read_values
from alignment.sections import Recipe
from alignment.stages import STAGES
from decoder.errors import RecipeError, ServiceError, UsageError
from decoder.runs.recipe import STEP
from decoder.runs.record import write_whole
from decoder.settings import home
from decoder.yaml_data import BadYaml, read_yaml

OWN = "own:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST = 200
FEW = 50
"""Rows below which a recipe that ships holds none out."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for first; 0 and "" leave a setting out.

    Attributes:
        model: a folder, a hub name or an artefact; empty trains from nothing.
        data: what the recipe calls the rows.
        steps: at most; 0 goes by epochs.
        rank: of the adapter; 0 trains all weights.
    """

    name: str
    model: str = ""
    data: str = ""
    epochs: float = 0.0
    steps: int = 0
    learning_rate: float = 0.0
    rank: int = 0


def recipes_folder() -> Path:
    """Where own recipes are kept."""
    return home() / "recipes"


def runs_folder() -> Path:
    """Where runs go that the page starts."""
    return home() / "runs"


def known() -> list[str]:
    """Ids of all recipes: own ones first, then those that ship, the small before the large."""
    mine = sorted(file.stem for file in recipes_folder().glob("*.yaml") if NAME.fullmatch(file.stem))
    shipped = [file.stem for file in RECIPES.glob("*.yaml") if file.stem.partition("-")[0] in STAGES]
    order = {stage: place for place, stage in enumerate(("sft", "dpo", "kto", "reward", "ppo", "grpo", "rloo"))}
    shipped.sort(key=lambda name: (not name.endswith("-small"), order.get(name.partition("-")[0], 99), name))
    return [*(OWN + name for name in mine), *shipped]


def about(recipe_id: str) -> str:
    """What it says of itself in its first line, a comment; empty when it says nothing."""
    try:
        first = _file(recipe_id).read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def values_of(recipe_id: str) -> dict[str, Any]:
    """Its keys. Raises RecipeError."""
    return read_values(_file(recipe_id))


def take_out(values: Mapping[str, Any]) -> tuple[Form, dict[str, Any]]:
    """The form's values, and the rest. Raises RecipeError when a section is none."""
    rest = copy.deepcopy(dict(values))
    rest.pop("output", None)  # the page says where runs go
    model, data = _section(rest, "model"), _section(rest, "data")
    training, lora = _section(rest, "training"), _section(rest, "lora")
    form = Form(
        name=str(rest.pop("name", "")),
        model=str(model.pop("path", "") or ""),
        data=str(data.pop("train", "") or ""),
        epochs=_number(training.pop("num_train_epochs", 0)),
        steps=max(int(_number(training.pop("max_steps", 0))), 0),
        learning_rate=_number(training.pop("learning_rate", 0)),
        rank=int(_number(lora.pop("r", 8))) if values.get("lora") is not None else 0,
    )
    for name in ("model", "data", "training", "lora"):
        if not rest.get(name):
            rest.pop(name, None)
    return form, rest


def put_in(form: Form, rest: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's keys out of both; nothing of it is checked yet but that sections are some. Raises RecipeError."""
    values = copy.deepcopy(dict(rest))
    values["name"] = form.name
    for section, key, value in (
        ("model", "path", form.model),
        ("data", "train", form.data),
        ("training", "num_train_epochs", form.epochs),
        ("training", "max_steps", form.steps),
        ("training", "learning_rate", form.learning_rate),
    ):
        if value:
            values[section] = _section(values, section) | {key: value}
    if form.rank:
        values["lora"] = _section(values, "lora") | {"r": form.rank}
    else:
        values.pop("lora", None)
    return values


def for_rows(rest: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The rest of a recipe for so many rows: of a few, none are held out, since too often none would be."""
    found = copy.deepcopy(dict(rest))
    data = _section(found, "data")
    if rows < FEW and data.pop("eval_fraction", None) is not None:
        found["data"] = data
        if not data:
            del found["data"]
    return found


def as_yaml(values: Mapping[str, Any]) -> str:
    """For the field that holds all settings."""
    import yaml

    return str(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)) if values else ""


def from_yaml(text: str) -> dict[str, Any]:
    """What was typed into it. Raises RecipeError with the line."""
    try:
        found = read_yaml(text).plain() if text.strip() else {}
    except BadYaml as error:
        raise RecipeError(STEP, f"line {error.line}: {error}", "Mend the line") from error
    if not isinstance(found, dict):
        raise RecipeError(STEP, "it holds no keys", "Write `key: value` lines")
    return found


def recipe_of(form: Form, text: str) -> Recipe:
    """What form and YAML say together, strictly read. Raises RecipeError, naming the nearest key for an unknown one."""
    recipe = make_recipe(put_in(form, from_yaml(text)))
    if recipe.stage not in STAGES:
        raise RecipeError(STEP, f"stage {recipe.stage!r} is unknown", f"Stages: {', '.join(STAGES)}")
    if recipe.output:
        raise RecipeError(STEP, "output is said here", "Leave it out: the page keeps runs under the recipe's name")
    return recipe


def free_name(name: str) -> str:
    """The name, numbered where a run of that name is there already."""
    taken = {folder.name for folder in runs_folder().iterdir()} if runs_folder().is_dir() else set()
    if name not in taken:
        return name
    return next(each for n in range(2, 10_000) if (each := f"{name[:58]}-{n}") not in taken)


def output_of(name: str) -> Path:
    """The folder of a run of this name. Raises RecipeError when the name is none, or taken."""
    if not NAME.fullmatch(name):
        raise RecipeError(STEP, f"name {name!r} is no name", "Use letters, digits, '-', '_' and '.'")
    folder = runs_folder() / name
    if folder.exists():
        raise RecipeError("starting a run", f"there is a run {name} already", f"Call this one {free_name(name)}")
    return folder


def save(name: str, values: Mapping[str, Any]) -> str:
    """Keep a recipe as one's own, in place of one of that name; its id. Raises RecipeError, UsageError."""
    if not NAME.fullmatch(name):
        raise RecipeError(STEP, f"name {name!r} is no name", "Use letters, digits, '-', '_' and '.'")
    folder = recipes_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(list(folder.glob("*.yaml"))) >= MOST:
        raise UsageError("saving a recipe", f"there are {MOST} already", "Remove some first")
    try:
        write_whole(folder / f"{name}.yaml", as_yaml(values), "saving a recipe")
    except OSError as error:
        raise ServiceError("saving a recipe", str(error), "Free some space") from error
    return OWN + name


def remove(recipe_id: str) -> None:
    """Delete one's own. One that ships stays."""
    if recipe_id.startswith(OWN) and recipe_id in known():
        _file(recipe_id).unlink(missing_ok=True)


def _file(recipe_id: str) -> Path:
    if recipe_id not in known():
        raise RecipeError(STEP, f"there is no recipe {recipe_id}", "Choose another")
    if recipe_id.startswith(OWN):
        return recipes_folder() / f"{recipe_id.removeprefix(OWN)}.yaml"
    return RECIPES / f"{recipe_id}.yaml"


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RecipeError(STEP, f"{name} is no section", "Indent its keys below it")
    return found


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0
