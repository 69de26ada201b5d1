"""Jobs that train: one recipe, or several that are held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from decoder.runs.folder import RunFolder
from ui.browser.picture_models import drawn_by
from ui.browser.picture_runs import run_folder, runs_home
from ui.cli.generate_options import require_generators

if TYPE_CHECKING:
    from collections.abc import Callable

    from generators.sections import Recipe
    from generators.trainer_progress import Progress
    from ui.browser.job_process import Running


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Train or compare, as `spec["does"]` says. Raises RecipeError, GeneratorError, TrainingError, Stopped."""
    require_generators()
    runs_home().mkdir(parents=True, exist_ok=True, mode=0o700)
    if spec["does"] == "compare":
        return _compare(spec, job)
    from generators.train import train

    folder = run_folder(str(spec["run"]))
    recipe = _recipe(spec, folder)
    job.tell(now=True, doing="preparing")
    train(recipe, bool(spec.get("resume")), _told(job))
    if folder.model.is_dir():
        drawn_by(folder)
    state = folder.state
    return {"run": spec["run"], "status": state.get("status"), "metrics": state.get("metrics") or {}}


def _recipe(spec: Mapping[str, Any], folder: RunFolder) -> Recipe:
    """The run's own where it has begun, so that it goes on as it was; else as it was asked for. Raises RecipeError."""
    from generators.recipe import load_recipe

    own = folder.path / "recipe.yaml"
    if spec.get("resume") and own.is_file():
        recipe = load_recipe(own)
    else:
        recipe = load_recipe(str(spec["recipe"]), list(spec.get("overrides") or ()))
        recipe = replace(recipe, name=str(spec["name"]), tracking=())
    return replace(recipe, output=str(folder.path))


def _told(job: Running, **about: Any) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        job.tell(
            doing="training",
            step=progress.step,
            max_steps=progress.max_steps,
            spent=progress.spent,
            budget=progress.budget,
            share=progress.share,
            left=progress.eta_seconds,
            **about,
        )

    return watch


def _compare(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    from generators.compare import compare, compare_finished
    from generators.recipe import load_recipe
    from ui.browser.picture_comparison import keep_comparison

    output = run_folder(str(spec["run"])).path

    def told(line: str) -> None:
        job.tell(now=True, doing="comparing", line=line, share=0.0)

    if spec.get("runs"):
        folders = [run_folder(str(each)) for each in spec["runs"]]
        compare_finished(folders, output, told=told)
    else:
        recipes = [load_recipe(str(name), list(spec.get("overrides") or ())) for name in spec["recipes"]]
        seeds, seconds = [int(seed) for seed in spec["seeds"]], float(spec["seconds"])
        compare(recipes, output, seeds, seconds, bool(spec.get("study")), told, _told(job))
        folders = [RunFolder(output / f"{recipe.name}-{seed}") for seed in seeds for recipe in recipes]
    keep_comparison(folders, output)
    return {"run": spec["run"]}
