"""Several recipes, each with several seeds, trained and evaluated in turn; finished runs are not made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder
from generators.families import family_config
from generators.recipe import fingerprint
from generators.sections import Recipe

if TYPE_CHECKING:
    from generators.trainer_progress import Progress

STEP = "comparing"


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipe with one seed, trained and evaluated.

    Attributes:
        recipe: as it was run, with its seed, budget and output.
        folder: its run's.
        evaluation: evaluation.json.
    """

    recipe: Recipe
    folder: RunFolder
    evaluation: Mapping[str, Any]


def with_budget(recipe: Recipe, seconds: float) -> Recipe:
    """The recipe with `seconds` CPU seconds of training and no limit of steps; 0 leaves it as it is."""
    training = replace(recipe.training, budget_seconds=seconds, max_steps=0) if seconds else recipe.training
    return replace(recipe, training=training)


def check_comparable(recipes: Sequence[Recipe]) -> None:
    """Refuse recipes whose figures would not compare, and any that could not be trained: before the first one is.

    Raises RecipeError.
    """
    from generators.trainer_checks import check_training

    if not recipes:
        raise RecipeError(STEP, "no recipe is given", "Name two or more")
    names = [recipe.name for recipe in recipes]
    for name in {name for name in names if names.count(name) > 1}:
        raise RecipeError(STEP, f"two recipes are called {name}", "Give each a name of its own")
    for recipe in recipes:
        family_config(recipe.family, recipe.model)
        check_training(recipe.training)
    first = recipes[0]
    for recipe in recipes[1:]:
        for key, ours, theirs in _differing(recipe, first):
            cause = f"{recipe.name} has {key} {ours!r} and {first.name} {theirs!r}: their figures would not compare"
            raise RecipeError(STEP, cause, f"Give both the same, as in --set {key}={theirs}")


def _differing(recipe: Recipe, first: Recipe) -> Iterator[tuple[str, object, object]]:
    """(key, its value, the first's) of what makes figures incomparable: pictures (not their captions), how many samples
    are judged, and by which features.
    """
    keys = [f"data.{each.name}" for each in fields(first.data) if each.name != "captions"]
    for key in (*keys, "evaluation.samples", "evaluation.features"):
        section, name = key.split(".")
        ours, theirs = (getattr(getattr(each, section), name) for each in (recipe, first))
        if ours != theirs:
            yield key, ours, theirs


def run_all(
    recipes: Iterable[Recipe],
    seeds: Sequence[int],
    output: Path,
    told: Callable[[str], None] = lambda line: None,
    watch: Callable[[Progress], None] | None = None,
) -> Iterator[Entry]:
    """Each recipe with each seed, seeds outermost, in `output`/NAME-SEED. What is finished there is used as it is.

    Args:
        told: is given a line before each run begins.
        watch: is given the progress of each run, as by `train`.

    Raises:
        GeneratorError, RecipeError, TrainingError: as `train` and `evaluate`.
    """
    for seed in seeds:
        for recipe in recipes:
            placed = replace(recipe, seed=seed, output=str(output / f"{recipe.name}-{seed}"))
            yield _one(placed, told, watch)


def _one(recipe: Recipe, told: Callable[[str], None], watch: Callable[[Progress], None] | None) -> Entry:
    from generators.evaluate import evaluate, read_evaluation
    from generators.train import train

    folder = RunFolder(Path(recipe.output))
    state = folder.state
    same = state.get("recipe_sha256") == fingerprint(recipe)
    if state and not same:
        raise RecipeError(STEP, f"{folder.path} holds a run of another recipe", "Give another output")
    if state.get("status") not in ("finished", "alarm"):
        told(f"{recipe.name}, seed {recipe.seed}: training")
        train(recipe, resume=bool(state), watch=watch)
    found = read_evaluation(folder)
    if found is None or not _as_asked(found, recipe):
        told(f"{recipe.name}, seed {recipe.seed}: evaluating")
        evaluate(folder)
        found = read_evaluation(folder)
    return Entry(recipe, folder, found or {})


def entry_of(folder: RunFolder) -> Entry:
    """A finished run that was evaluated. Raises RecipeError for one that was not."""
    from generators.evaluate import read_evaluation
    from generators.recipe import load_recipe

    found = read_evaluation(folder)
    if found is None:
        raise RecipeError(STEP, f"{folder.path} was not evaluated", "hearth generate evaluate RUN")
    return Entry(load_recipe(folder.path / "recipe.yaml"), folder, found)


def _as_asked(evaluation: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether the run was evaluated as its recipe says, and not with other samples since."""
    asked = recipe.evaluation
    said = (evaluation.get("sampling"), evaluation.get("sampling_seed"))
    # Translations are as many as there are pictures held out; captions and labels do not lower the number.
    enough = evaluation.get("samples") == asked.samples or bool(recipe.data.targets)
    return enough and said == (json.loads(json.dumps(dict(asked.sampling))), asked.seed)
