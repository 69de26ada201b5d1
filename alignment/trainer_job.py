"""What a stage's trainer is built from: configuration, rows and tokenizer, each checked before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from alignment.errors import DataError, MaskError
from alignment.models import load_decoder, load_tokenizer, lora_config, refuse_adapter, resolve
from decoder.errors import RecipeError

if TYPE_CHECKING:
    from alignment.data import Data
    from alignment.data_report import DataReport
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder

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
        from alignment.data_table import as_table

        return {"train_dataset": as_table(self.train), "eval_dataset": as_table(self.eval) if self.eval else None}


@dataclass(frozen=True, slots=True)
class TrainerStage:
    """What differs between the stages.

    Attributes:
        config: TRL's configuration, "module:class".
        build: makes the trainer.
        house: our defaults beside TRL's, by the format of the rows; the recipe's keys override them.
        limit: of a row's tokens, by recipe and configuration; None for none.
        taught: prompts with answers, whose masks are checked; else prompts alone.
        generates: the model writes text, samples of which are kept.
        tokenizer: makes the tokenizer from recipe and training rows, where it is not the model's.
        finish: called by every process once the result is saved; what it returns is noted in run.json, where its
            `metrics` are added to the trainer's.
    """

    config: str
    build: Callable[[Job], Any]
    house: Callable[[str], Mapping[str, Any]]
    limit: Callable[[Recipe, Any], int | None]
    taught: bool = True
    generates: bool = True
    tokenizer: Callable[[Recipe, Rows], Any] | None = None
    finish: Callable[[Any, Job], Mapping[str, Any]] | None = None


def prepare(recipe: Recipe, folder: RunFolder, stage: TrainerStage) -> Job:
    """Configuration, rows and tokenizer, all checked; nothing is written. Raises AlignmentError."""
    from alignment.data import load_data
    from alignment.training_arguments import training_arguments

    training_arguments(recipe, folder, stage.config)  # a misspelt key is told of before rows are read
    if not stage.tokenizer:
        refuse_adapter(resolve(recipe.model.path))
    data = load_data(recipe.data, recipe.stage)
    args = training_arguments(recipe, folder, stage.config, **_defaults(bool(data.eval)), **stage.house(data.format))
    tokenizer = stage.tokenizer(recipe, data.train) if stage.tokenizer else _training_tokenizer(recipe, args)
    limit = stage.limit(recipe, args)
    data = fitting(data, tokenizer, limit, bool(recipe.data.eval))
    if stage.taught and _mask_is_ours(args, data.format):
        from alignment.guard import check_masks

        check_masks(tokenizer, data.train, data.format, limit)
    original = tokenizer if stage.tokenizer else load_tokenizer(recipe.model)
    return Job(recipe, folder, args, tokenizer, original, data.train, data.eval, data.format, data.report)


def fitting(data: Data, tokenizer: Any, limit: int | None, apart: bool) -> Data:
    """The data without rows that are longer than `limit` tokens, which its report lists; TRL would cut them, or leave
    them out, without a word. `apart`: the evaluation rows come from a source of their own.

    Raises:
        DataError: no row is left to train on, or none to evaluate on where there were some.
        MaskError: a row cannot be rendered; it is named.
    """
    from alignment.data import drop_long
    from alignment.data_split import rows_hash

    if limit is None:
        return data
    train, long = drop_long(data.train, _length(tokenizer, data.format, "row"), limit)
    place = "eval" if apart else "train"
    evaluated, long_eval = drop_long(data.eval, _length(tokenizer, data.format, "evaluation row"), limit, place)
    for kept, rows, what in ((train, data.train, "rows"), (evaluated, data.eval, "evaluation rows")):
        if rows and not kept:
            cause = f"none of its {len(rows)} {what} is at most {limit} tokens long"
            raise DataError("reading the data", cause, "Raise training.max_length")
    report = dataclasses.replace(
        data.report,
        dropped=(*data.report.dropped, *long, *long_eval),
        kept=data.report.kept - len(long) - (0 if apart else len(long_eval)),
        train_rows=len(train),
        eval_rows=len(evaluated),
        sha256=rows_hash(train),
        eval_sha256=rows_hash(evaluated),
    )
    return dataclasses.replace(data, train=train, eval=evaluated, report=report)


def _length(tokenizer: Any, row_format: str, what: str) -> Callable[[dict[str, Any]], int]:
    """Tokens of the longest sequence of one row after the other; what cannot be rendered is named by its index."""
    from alignment.token_mask import sequences

    numbers = count()

    def length(row: dict[str, Any]) -> int:
        number = next(numbers)
        try:
            return max(len(sequence.ids) for sequence in sequences(tokenizer, row, row_format))
        except MaskError as error:
            raise MaskError(error.step, f"{what} {number}: {error.cause}", error.remedy) from error

    return length


def refuse_dropout(recipe: Recipe, remedy: str) -> None:
    """For stages that train without dropout: refuse a recipe that asks for it, as TRL turns it off without a word.

    Raises RecipeError.
    """
    lora = recipe.lora
    if lora is not None and lora.dropout and not recipe.model.adapter:
        cause = f"lora.dropout is {lora.dropout}, and {recipe.stage} trains without dropout"
        raise RecipeError("reading the recipe", cause, remedy)


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
