"""The life that every stage on a transformers or TRL trainer has in common.

Everything that can be refused is looked at before the run's folder is made: recipe, data, tokenizer, masks, model. Then
it trains, from the last whole checkpoint where it is resumed, and leaves the result, its figures and its report.
Under `accelerate launch` the main process alone writes; the others wait for it where they must.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.checkpoints import clear_partial, failed, last_whole, step_of
from alignment.errors import CheckpointFailed, DataError, RecipeError, Stopped, TrainingError
from alignment.models import load_decoder, load_tokenizer, lora_config, require_training
from alignment.run_folder import RunFolder, check_run, open_run
from decoder.errors import HearthError

if TYPE_CHECKING:
    from alignment.data import Data, DataReport
    from alignment.sections import Recipe

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage builds its trainer from.

    Attributes:
        args: the stage's TRL configuration.
        tokenizer: as training uses it; its chat template may have markers that the saved one has not.
        original: the tokenizer as it was loaded.
        train, eval: rows in TRL's format, none longer than the limit.
        format: of the rows.
    """

    recipe: Recipe
    folder: RunFolder
    args: Any
    tokenizer: Any
    original: Any
    train: Rows
    eval: Rows
    format: str
    report: DataReport

    def trained_model(self) -> dict[str, Any]:
        """The keyword arguments `model` and `peft_config` of a TRL trainer.

        A new adapter is left to TRL to make, so that its reference is the model without it; one that the recipe names
        comes with the model, and TRL keeps a frozen copy of it as the reference.
        """
        section, lora = self.recipe.model, self.recipe.lora
        new = lora is not None and not section.adapter
        return {"model": load_decoder(section), "peft_config": lora_config(lora) if lora is not None and new else None}

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return self.recipe.lora is None and not self.recipe.model.adapter

    def datasets(self) -> dict[str, Any]:
        """The keyword arguments `train_dataset` and `eval_dataset` of a TRL trainer."""
        return {"train_dataset": table(self.train), "eval_dataset": table(self.eval) if self.eval else None}


@dataclass(frozen=True, slots=True)
class TrainerStage:
    """What differs between the stages.

    Attributes:
        config: TRL's configuration, "module:class".
        build: makes the trainer.
        house: our defaults beside TRL's, by the format of the rows; the recipe's keys override them.
        limit: of a row's tokens, by recipe and configuration; None for none.
        taught: prompts with answers, whose masks are checked; else prompts alone.
        tokenizer: makes the tokenizer from recipe and training rows, where it is not the model's.
    """

    config: str
    build: Callable[[Job], Any]
    house: Callable[[str], Mapping[str, Any]]
    limit: Callable[[Recipe, Any], int | None]
    taught: bool = True
    tokenizer: Callable[[Recipe, Rows], Any] | None = None


def run_trainer(recipe: Recipe, resume: bool, stage: TrainerStage) -> RunFolder:
    """Run a stage; one that has already finished is left as it is.

    Raises:
        AlignmentError: the recipe, the data or the model cannot be used; nothing was written.
        Diverged, CheckpointFailed, Stopped: the run ended before its time; its last checkpoint is whole.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]

    require_training()
    folder = check_run(recipe, resume)
    if folder.state.get("status") == "finished":
        return folder
    job = prepare(recipe, folder, stage)
    with _refusals(), _quiet(job.args.disable_tqdm):
        trainer = stage.build(job)
    state = PartialState()
    if state.is_main_process:
        open_run(recipe, resume)
        clear_partial(folder.path)
    state.wait_for_everyone()
    with _recorded(folder, state.is_main_process):
        train(trainer, job)
    if state.is_main_process:
        after(folder, recipe)
    state.wait_for_everyone()
    return folder


def prepare(recipe: Recipe, folder: RunFolder, stage: TrainerStage) -> Job:
    """Configuration, rows and tokenizer, all checked; nothing is written. Raises AlignmentError."""
    from alignment.data import load_data
    from alignment.training_arguments import training_arguments

    training_arguments(
        recipe, folder, stage.config, **stage.house("text")
    )  # misspelt keys are told before rows are read
    data = load_data(recipe.data, recipe.stage)
    args = training_arguments(recipe, folder, stage.config, **_defaults(bool(data.eval)), **stage.house(data.format))
    tokenizer = stage.tokenizer(recipe, data.train) if stage.tokenizer else _training_tokenizer(recipe, args)
    limit = stage.limit(recipe, args)
    data = fitting(data, tokenizer, limit)
    if stage.taught and _mask_is_ours(args, data.format):
        from alignment.guard import check_masks

        check_masks(tokenizer, data.train, data.format, limit)
    original = tokenizer if stage.tokenizer else load_tokenizer(recipe.model)
    return Job(recipe, folder, args, tokenizer, original, data.train, data.eval, data.format, data.report)


def fitting(data: Data, tokenizer: Any, limit: int | None) -> Data:
    """The data without rows that are longer than `limit` tokens, which its report lists; TRL would cut them, or leave
    them out, without a word. Raises DataError when none is left.
    """
    if limit is None:
        return data
    from alignment.data import drop_long
    from alignment.token_mask import sequences

    def length(row: dict[str, Any]) -> int:
        return max(len(sequence.ids) for sequence in sequences(tokenizer, row, data.format))

    train, long = drop_long(data.train, length, limit)
    evaluated, long_eval = drop_long(data.eval, length, limit)
    if not train:
        cause = f"none of its {len(data.train)} rows is at most {limit} tokens long"
        raise DataError("reading the data", cause, "Raise training.max_length")
    report = dataclasses.replace(
        data.report,
        dropped=(*data.report.dropped, *long, *long_eval),
        kept=data.report.kept - len(long) - len(long_eval),
        train_rows=len(train),
        eval_rows=len(evaluated),
    )
    return dataclasses.replace(data, train=train, eval=evaluated, report=report)


def train(trainer: Any, job: Job) -> None:
    """Train, evaluate, save and note. Raises Diverged, CheckpointFailed, Stopped."""
    from alignment.callbacks import MetricsToFolder, SamplesToFolder, SignalStop, stop_on_signal
    from alignment.sampling_prompts import sampling_prompts

    folder = job.folder
    checkpoint = last_whole(folder.checkpoints())
    main = trainer.is_world_process_zero()
    if main:
        folder.forget_after(step_of(checkpoint))
    samples = SamplesToFolder(folder, job.original, sampling_prompts(job.original, job.eval or job.train))
    sharded = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled  # no process has the whole model to ask
    with stop_on_signal() as asked:
        stop = SignalStop(asked)
        for callback in (MetricsToFolder(folder), stop, *(() if sharded else (samples,))):
            trainer.add_callback(callback)
        if not sharded and checkpoint is None:
            samples.write(trainer.model, trainer.state)
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    step = int(trainer.state.global_step)
    if stop.stopped:
        raise Stopped("training", f"a signal ended it after step {step}; its checkpoint is whole", "Add --resume")
    metrics = {**result.metrics, **_evaluated(trainer, job)}
    if not sharded:
        samples.write(trainer.model, trainer.state)
    save_result(trainer, job)
    if main:
        folder.note(status="finished", finished=time.time(), steps=step, metrics=metrics, **_about(job))


def save_result(trainer: Any, job: Job) -> None:
    """Leave adapter or weights, and the tokenizer as inference needs it, in `folder.model`. Raises CheckpointFailed."""
    import shutil

    from alignment.sampling_prompts import inference_tokenizer

    aside = job.folder.path / ".model"
    try:
        trainer.save_model(str(aside), _internal_call=True)
        if trainer.args.should_save:
            (aside / "training_args.bin").unlink(missing_ok=True)  # a pickle
            (aside / "README.md").unlink(missing_ok=True)
            shutil.rmtree(aside / "ref", ignore_errors=True)  # TRL's frozen copy of the adapter that was gone on from
            inference_tokenizer(job.original, job.tokenizer, job.train).save_pretrained(str(aside))
            shutil.rmtree(job.folder.model, ignore_errors=True)
            aside.replace(job.folder.model)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise failed(int(trainer.state.global_step), job.folder.path, error) from error
    trainer.accelerator.wait_for_everyone()


def after(folder: RunFolder, recipe: Recipe) -> None:
    """The report, and the registry where the recipe wants it."""
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("alignment.report"):
        import_module("alignment.report").write_report(folder)
    if recipe.register and find_spec("alignment.registry"):
        import_module("alignment.registry").register(folder)


def table(rows: Rows) -> Any:
    """A `datasets.Dataset` of rows; tools, whose schemas differ from row to row, as the JSON that TRL reads."""
    import json

    from datasets import Dataset  # type: ignore[import-untyped]

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    if "tools" in columns:
        columns["tools"] = [json.dumps(tools) if tools else None for tools in columns["tools"]]
    return Dataset.from_dict(columns)


def _defaults(evaluated: bool) -> dict[str, Any]:
    """Ours for every stage: an evaluation an epoch where there are rows for it, two checkpoints kept."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "eval_strategy": "epoch" if evaluated else "no",
        "save_total_limit": 2,
        "dataloader_pin_memory": gpu,
    }


def _mask_is_ours(args: Any, row_format: str) -> bool:
    """Whether the tokens that are trained are those that the guard looks at, and not a recipe's own wish."""
    named = {"messages": "assistant_only_loss", "prompt_completion": "completion_only_loss"}.get(row_format, "")
    return getattr(args, named, True) is not False


def _training_tokenizer(recipe: Recipe, args: Any) -> Any:
    """A tokenizer of its own for training, with markers of what the assistant says where they are needed."""
    tokenizer = load_tokenizer(recipe.model)
    if not getattr(args, "assistant_only_loss", False):
        return tokenizer
    from alignment.token_mask import training_tokenizer

    return training_tokenizer(tokenizer)


def _evaluated(trainer: Any, job: Job) -> dict[str, float]:
    """The figures of the last step's evaluation, which is made where there was none."""
    if not job.eval:
        return {}
    for line in reversed(trainer.state.log_history):
        if line.get("step") == trainer.state.global_step and "eval_loss" in line:
            return {key: value for key, value in line.items() if key.startswith("eval_")}
    found: dict[str, float] = trainer.evaluate()
    return found


def _about(job: Job) -> dict[str, Any]:
    """What the registry wants to know of the result."""
    from pathlib import Path

    from alignment.models import resolve, weights_hash

    base = resolve(job.recipe.model.path) if job.recipe.model.path else ""
    return {
        "data": job.report.plain(),
        "base": base,
        "base_sha256": weights_hash(Path(base)) if base and Path(base).is_dir() else "",
        "kind": "model" if job.full else "adapter",
    }


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
    from datasets import disable_progress_bars, enable_progress_bars, is_progress_bar_enabled

    shown = is_progress_bar_enabled()
    if wanted:
        disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def _recorded(folder: RunFolder, main: bool) -> Iterator[None]:
    """run.json says how it ended, however it ends; a full disk and full memory become errors of the tree."""
    try:
        with _typed(folder):
            yield
    except BaseException as error:
        if main:
            try:
                folder.note(status="stopped" if isinstance(error, Stopped) else "failed", error=str(error))
            except CheckpointFailed:
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
