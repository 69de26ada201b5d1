"""The folder of a stage's run; what is in it, decoder/runs/folder.py says."""

from __future__ import annotations

from pathlib import Path

from alignment.recipe import as_plain, fingerprint
from alignment.sections import Recipe
from alignment.settings import alignment_settings
from decoder.runs import folder as runs
from decoder.runs.folder import RunFolder


def folder_of(recipe: Recipe) -> RunFolder:
    """The folder that the recipe's run has, or would have; nothing is made."""
    return RunFolder(
        Path(recipe.output).expanduser() if recipe.output else alignment_settings().runs_folder / recipe.name
    )


def check_run(recipe: Recipe, resume: bool) -> RunFolder:
    """The run's folder, when a run may begin or go on there; nothing is made. Raises RecipeError."""
    folder = folder_of(recipe)
    runs.check_run(folder, fingerprint(recipe), resume)
    return folder


def open_run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """The run's folder, made where there is none. Raises RecipeError, as `check_run`."""
    folder = folder_of(recipe)
    runs.open_run(folder, as_plain(recipe), fingerprint(recipe), resume, stage=recipe.stage, name=recipe.name)
    return folder
