"""One trainer for every family: train(recipe) -> the run's folder.

Everything that can be refused is looked at before the run's folder is made: recipe, data, model, sampling options.
Then it trains, from the last whole checkpoint where it is resumed, and leaves the result, its figures and its report.
"""

from __future__ import annotations

from decoder.runs.folder import RunFolder
from generators.sections import Recipe
from generators.trainer_progress import Progress, Watcher

__all__ = ["Progress", "train"]


def train(recipe: Recipe, resume: bool = False, watch: Watcher | None = None) -> RunFolder:
    """Train a recipe's model in this process and return its run's folder, whose `model` is the result.

    A run that has finished is left as it is. SIGTERM and SIGINT end a run after a checkpoint.

    Args:
        resume: go on with the run in the recipe's folder; where there is none, begin it.
        watch: told of the progress after each step, in this thread.

    Raises:
        GeneratorError, RecipeError: the recipe or the data cannot be used; nothing was written.
        Diverged, CheckpointFailed, Stopped: the run ended before its time; its last checkpoint is whole.
        TrainingError: memory is full, or a checkpoint cannot be read.
    """
    from generators.trainer_run import run_training

    return run_training(recipe, resume, watch)
