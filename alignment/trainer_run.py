"""The life that every stage on a transformers or TRL trainer has in common.

Everything that can be refused is looked at before the run's folder is made: recipe, data, tokenizer, masks, model. Then
it trains, from the last whole checkpoint where it is resumed, and leaves the result, its figures and its report.
Under `accelerate launch` the main process alone writes; the others wait for it where they must.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from alignment.errors import DataError
from alignment.models import require_training
from alignment.run_folder import check_run, open_run
from alignment.trainer_job import Job, TrainerStage, prepare
from alignment.trainer_result import about, after, evaluated, made_up_for, save_result
from decoder.errors import CheckpointFailed, HearthError, MissingExtra, RecipeError, Stopped, TrainingError
from decoder.runs.checkpoints import clear_partial, last_whole, step_of
from decoder.runs.folder import RunFolder, alone

if TYPE_CHECKING:
    from alignment.data_report import DataReport
    from alignment.sections import Recipe


def run_trainer(recipe: Recipe, resume: bool, stage: TrainerStage) -> RunFolder:
    """Run a stage; one that has already finished is left as it is, but for a report or a registration that failed.

    Raises:
        AlignmentError: the recipe, the data or the model cannot be used; nothing was written.
        Diverged, CheckpointFailed, Stopped: the run ended before its time; its last checkpoint is whole.
    """
    require_training()
    folder = check_run(recipe, resume)
    if ended(folder, recipe):
        return folder
    job = prepare(recipe, folder, stage)
    check_rows(folder, job.report)
    with _refusals(), _quiet(job.args.disable_tqdm):
        trainer = stage.build(job)
    with opened(recipe, resume, folder, job.report):
        train(trainer, job, stage)
    return folder


def ended(folder: RunFolder, recipe: Recipe) -> bool:
    """Whether the run has finished; if so, what it lacks of report and registry is made up for."""
    if folder.state.get("status") != "finished":
        return False
    from accelerate import PartialState  # type: ignore[import-untyped]

    if PartialState().is_main_process:
        made_up_for(folder, recipe)
    return True


@contextmanager
def opened(recipe: Recipe, resume: bool, folder: RunFolder, report: DataReport) -> Iterator[None]:
    """What stands around every stage's training: the folder is made and held, run.json says how it ended, and what is
    left of a run that ended well is its report and its place in the registry.

    Raises RecipeError when another process trains in the folder.
    """
    from accelerate import PartialState

    state = PartialState()
    state.wait_for_everyone()  # until each has seen that the folder is free
    with alone(folder) if state.is_main_process else nullcontext():
        if state.is_main_process:
            open_run(recipe, resume)
            clear_partial(folder.path)
            folder.note(data=report.plain())
        state.wait_for_everyone()
        with recorded(folder, state.is_main_process):
            yield
        if state.is_main_process:
            after(folder, recipe)
        state.wait_for_everyone()


def check_rows(folder: RunFolder, report: DataReport) -> None:
    """Refuse to go on with a run on other rows than it began with: its place among them would mean nothing.

    Raises DataError.
    """
    known = folder.state.get("data")
    if isinstance(known, dict) and known.get("sha256") != report.sha256:
        cause = f"{report.source} does not hold the rows that the run in {folder.path} began with"
        raise DataError("reading the data", cause, "Bring them back, or begin anew in another output")


def train(trainer: Any, job: Job, stage: TrainerStage) -> None:
    """Train, evaluate, save and note. Raises Diverged, CheckpointFailed, Stopped."""
    from alignment.callbacks import MetricsToFolder, SamplesToFolder, SignalStop
    from alignment.sampling_prompts import sampling_prompts
    from decoder.runs.stop_signal import stop_on_signal

    folder = job.folder
    checkpoint = last_whole(folder.checkpoints())
    main = trainer.is_world_process_zero()
    if main:
        folder.forget_after(step_of(checkpoint))
    samples = SamplesToFolder(folder, job.original, sampling_prompts(job.original, job.eval or job.train))
    sharded = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled  # no process has the whole model to ask
    asks = stage.generates and not sharded
    with stop_on_signal() as asked:
        stop = SignalStop(asked)
        for callback in (MetricsToFolder(folder), stop, *((samples,) if asks else ())):
            trainer.add_callback(callback)
        if asks and checkpoint is None:
            samples.write(trainer.model, trainer.state)
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    step = int(trainer.state.global_step)
    if not step:
        raise TrainingError("training", "not one step was made", "Give more rows or epochs, or smaller batches")
    if stop.stopped:
        raise Stopped("training", f"a signal ended it after step {step}; its checkpoint is whole", "Add --resume")
    metrics = {**result.metrics, **evaluated(trainer, job)}
    if asks:
        samples.write(trainer.model, trainer.state)
    save_result(trainer, job)
    more = dict(stage.finish(trainer, job)) if stage.finish else {}
    if main:
        noted = {**about(job), **more, "metrics": {**metrics, **more.get("metrics", {})}}
        folder.note(status="finished", error="", finished=time.time(), steps=step, **noted)


@contextmanager
def _refusals() -> Iterator[None]:
    """What a trainer refuses in its arguments is the recipe's fault."""
    try:
        yield
    except ValueError as error:
        raise RecipeError("making the trainer", str(error).strip(), "Mend the recipe") from error


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """No bar for each pass over the rows, where the trainer shows none either."""
    from datasets import (  # type: ignore[import-untyped]
        disable_progress_bars,
        enable_progress_bars,
        is_progress_bar_enabled,
    )

    shown = is_progress_bar_enabled()
    if wanted:
        disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def recorded(folder: RunFolder, main: bool) -> Iterator[None]:
    """run.json says how it ended, however it ends, and a report what a run that failed looked like; a full disk and
    full memory become errors of the tree.
    """
    from alignment.report import write_report

    try:
        with _typed(folder):
            yield
    except BaseException as error:
        if main:
            try:
                folder.note(status="stopped" if isinstance(error, Stopped) else "failed", error=str(error))
                if isinstance(error, HearthError) and not isinstance(error, (Stopped, CheckpointFailed)):
                    write_report(folder)  # curves until then; no signal waits for it, and no full disk is written to
            except (CheckpointFailed, MissingExtra):
                if not isinstance(error, HearthError):
                    raise
        raise


@contextmanager
def _typed(folder: RunFolder) -> Iterator[None]:
    import errno

    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        remedy = "Lower training.per_device_train_batch_size or max_length, or train an adapter (lora)"
        raise TrainingError("training", "the GPU's memory is full", remedy) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise CheckpointFailed("writing the run's figures", str(error), "Free some space; then --resume") from error
        raise
