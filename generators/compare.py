"""compare(recipes, "compared"): several families on the same pictures and the same budget, in one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import RecipeError
from generators.compare_runs import STEP, Entry, check_comparable, entry_of, run_all, with_budget
from generators.sections import Recipe

if TYPE_CHECKING:
    from decoder.runs.folder import RunFolder
    from generators.compare_report import Study
    from generators.trainer_progress import Watcher

STUDIED = ("ddpm", "flow_matching")
"""Families of which the report also shows steps against quality, and guidance against accuracy and diversity."""


def compare(
    recipes: Sequence[Recipe],
    output: str | Path,
    seeds: Sequence[int] = (0,),
    budget_seconds: float = 0.0,
    study: bool = True,
    told: Callable[[str], None] = lambda line: None,
    watch: Watcher | None = None,
) -> Path:
    """Train and evaluate each recipe with each seed, and write report.md and report.html.

    Interrupted, it is called again with the same arguments: finished runs are kept, an unfinished one goes on.

    Args:
        output: a folder; each run is in a folder of it.
        budget_seconds: CPU seconds of training for every recipe; 0: what each recipe says.
        study: also draw from a diffusion model's first seed by several schedulers, steps and guidance scales.
        told: is given a line before each run begins.
        watch: is given the progress of each run.

    Returns:
        The path of report.html.

    Raises:
        RecipeError: the recipes are not of the same pictures, or `output` holds runs of other recipes.
        GeneratorError, TrainingError: as `train` and `evaluate`.
    """
    from generators.compare_report import write_comparison

    budgeted = [with_budget(recipe, budget_seconds) for recipe in recipes]
    check_comparable(budgeted)
    place = Path(output).expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(STEP, f"{place} cannot be made: {error.strerror}", "Give another output") from error
    entries = list(run_all(budgeted, seeds, place, told, watch))
    studied = [entry for entry in entries if study and entry.recipe.family in STUDIED and entry.recipe.seed == seeds[0]]
    return write_comparison(entries, [_study(entry, told) for entry in studied], place)


def compare_finished(
    folders: Sequence[RunFolder], output: str | Path, told: Callable[[str], None] = lambda line: None
) -> Path:
    """Hold finished runs against each other as they are; those that were not evaluated are, first.

    Returns:
        The path of report.html in `output`.

    Raises:
        RecipeError: a run has not finished, or they are not of the same pictures. GeneratorError: as `evaluate`.
    """
    from generators.compare_report import write_comparison
    from generators.evaluate import evaluate, read_evaluation
    from generators.recipe import load_recipe

    for folder in folders:
        if folder.state.get("status") not in ("finished", "alarm"):
            raise RecipeError(STEP, f"{folder.path} has not finished", "Let its training end first")
    check_comparable([load_recipe(folder.path / "recipe.yaml") for folder in folders])
    for folder in folders:
        if read_evaluation(folder) is None:
            told(f"{folder.path.name}: evaluating")
            evaluate(folder)
    place = Path(output).expanduser()
    place.mkdir(parents=True, exist_ok=True)
    return write_comparison([entry_of(folder) for folder in folders], (), place)


def _study(entry: Entry, told: Callable[[str], None]) -> Study:
    from generators.compare_report import Study
    from generators.data import load_pictures
    from generators.diffusion_study import study_guidance, study_steps
    from generators.judge import judge_for
    from generators.sample import open_model

    told(f"{entry.recipe.name}: drawing in several ways")
    model, split = open_model(entry.folder), load_pictures(entry.recipe.data)
    judge = judge_for(split.train)
    guided = "labels" in model.hears
    return Study(
        entry.recipe.name, study_steps(model, split, judge), study_guidance(model, split, judge) if guided else ()
    )
