"""The life of a run: what is refused is refused first, then the folder is held, trained in, and says how it ended."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from decoder.errors import CheckpointFailed, HearthError, RecipeError, Stopped, TrainingError
from decoder.runs.checkpoints import clear_partial, last_whole, step_of
from decoder.runs.folder import RunFolder, alone, check_run, open_run
from decoder.runs.random_states import untouched_randomness
from decoder.runs.stop_signal import stop_on_signal
from decoder.runs.tracking import check_tracking, open_tracker
from generators.data import load_pictures
from generators.data_split import with_validation
from generators.families import family_class, family_config
from generators.model import GenerativeModel
from generators.pictures import Split
from generators.recipe import as_plain, fingerprint, folder_of
from generators.report import renew_report
from generators.sample import sample
from generators.sections import Recipe
from generators.trainer_accelerator import make_accelerator
from generators.trainer_checks import check_data, check_same_data, check_training, data_state
from generators.trainer_grid import plan_grid
from generators.trainer_loop import Trainer
from generators.trainer_progress import Watcher
from generators.trainer_result import leave_result, parameter_counts
from generators.trainer_watching import open_watch

ENDED = ("finished", "alarm")


def run_training(recipe: Recipe, resume: bool, watcher: Watcher | None) -> RunFolder:
    """`generators.train.train`, which says what it raises."""
    check_training(recipe.training)
    check_tracking(recipe.tracking)
    folder = folder_of(recipe)
    check_run(folder, fingerprint(recipe), resume)
    if folder.state.get("status") in ENDED:
        return folder
    cls, config = family_class(recipe.family), family_config(recipe.family, recipe.model)
    whole = load_pictures(recipe.data)
    check_data(recipe, whole)
    about = data_state(recipe, whole)
    check_same_data(folder, about)
    split = with_validation(whole, recipe.data.seed) if recipe.training.early_stop else whole
    about["validation"] = len(split.test) if recipe.training.early_stop else 0
    accelerator = make_accelerator(recipe.training)
    with _threads(recipe.training.threads), _typed():
        _seed(recipe.seed + accelerator.process_index)
        model = cls.build(config, split.train)
        _check_sampling(recipe, model, split)
        alarms = open_watch(recipe, whole) if accelerator.is_main_process else None
        with _opened(recipe, resume, folder, accelerator, data=about, parameters=parameter_counts(model)):
            names = recipe.tracking if accelerator.is_main_process else ()
            with open_tracker(names, recipe.name, folder) as tracker:
                trainer = Trainer(recipe, model, split, folder, accelerator, alarms, tracker, watcher)
                _train(trainer)
    return folder


def _train(trainer: Trainer) -> None:
    """Go on from the last whole checkpoint where there is one, train, and leave the result."""
    folder, main = trainer.folder, trainer.accelerator.is_main_process
    checkpoint = last_whole(folder.checkpoints())
    if main:
        folder.forget_after(step_of(checkpoint))
    trainer.accelerator.wait_for_everyone()
    if checkpoint is not None:
        trainer.restore(checkpoint)
    with stop_on_signal() as asked:
        trainer.run(asked)
        if main:
            leave_result(trainer)
    trainer.accelerator.wait_for_everyone()


@contextmanager
def _opened(recipe: Recipe, resume: bool, folder: RunFolder, accelerator: Any, **about: Any) -> Iterator[None]:
    """The folder is made and held, and run.json says how it ended; the first process alone writes.

    Raises RecipeError when another process trains in the folder.
    """
    main = accelerator.is_main_process
    accelerator.wait_for_everyone()  # until each has seen that the folder is free
    with alone(folder) if main else nullcontext():
        if main and folder.state.get("status") in ENDED:
            raise RecipeError("opening the run's folder", f"another process has finished the run in {folder.path}")
        if main:
            named = {"family": recipe.family, "name": recipe.name}
            open_run(folder, as_plain(recipe), fingerprint(recipe), resume, **named)
            clear_partial(folder.path)
            folder.note(**about)
        accelerator.wait_for_everyone()
        try:
            with _typed():
                yield
        except BaseException as error:
            if main:
                _note_failure(folder, error)
            raise
        if main:
            renew_report(folder)


def _note_failure(folder: RunFolder, error: BaseException) -> None:
    """Say in run.json how it ended, and in a report what it looked like; the error itself comes first."""
    stopped = isinstance(error, Stopped)
    try:
        folder.note(status="stopped" if stopped else "failed", error=str(error))
        if isinstance(error, HearthError) and not isinstance(error, (Stopped, CheckpointFailed)):
            renew_report(folder)  # curves until then; no signal waits for it, and no full disk is written to
    except CheckpointFailed:
        if not isinstance(error, HearthError):
            raise


def _check_sampling(recipe: Recipe, model: GenerativeModel, split: Split) -> None:
    """Draw one picture with the recipe's options, so that a wrong one is told before training and not after it; the
    family's own may not fit, either (50 steps of a model that is trained with 20).
    """
    plan = plan_grid(model.shape, split.test, model.hears)
    labels, images = (None if each is None else each[:1] for each in (plan.labels, plan.images))
    with untouched_randomness():
        options = recipe.evaluation.sampling
        sample(model, 1, labels=labels, captions=plan.captions[:1], images=images, **options)


def _seed(seed: int) -> None:
    from accelerate.utils import set_seed  # type: ignore[import-untyped]

    set_seed(seed)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch's threads on a CPU, as many as the recipe says; as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _typed() -> Iterator[None]:
    """A full disk and full memory as errors of the tree."""
    remedy = "Lower training.batch_size and raise training.gradient_accumulation, or train a smaller model"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError("training", f"memory is full: {_first(error)}", remedy) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise TrainingError("training", f"memory is full: {_first(error)}", remedy) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise CheckpointFailed("writing the run's figures", str(error), "Free some space; then --resume") from error
        raise


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
