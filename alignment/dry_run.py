"""What a recipe would do, before it does it: rows, tokens, steps, memory, time and the token mask; nothing is written.

found = dry_run(load_recipe("sft-small"))
print(found)
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.dry_run_report import DryRun, TooLong
from alignment.errors import MaskError, ModelError
from alignment.guard import MaskReport, check_tokenizer, measure
from alignment.models import check_base, load_tokenizer, refuse_adapter, require_training, resolve
from alignment.run_folder import folder_of
from alignment.stages import STAGES
from alignment.token_mask import MaskedRow, TokenSequence, as_masked, sequences, training_tokenizer
from decoder.errors import RecipeError

if TYPE_CHECKING:
    from alignment.data import Data
    from alignment.memory import Memory
    from alignment.micro_step import Timing
    from alignment.sections import Recipe

ROWS_SHOWN = 3
WISHES = {"messages": "assistant_only_loss", "prompt_completion": "completion_only_loss"}
"""Formats, and the key by which a recipe may have all of a row trained."""


def dry_run(recipe: Recipe, time_it: bool = True, shown: int | Sequence[int] = ROWS_SHOWN) -> DryRun:
    """Look at everything that a run would begin with. What the mask guard refuses is told, not raised.

    Args:
        time_it: also load the model, when it is on this machine, and time one micro-step.
        shown: of how many rows the mask is shown, or of which, by their places among those that are trained on.

    Raises:
        RecipeError, DataError, ModelError: the recipe, the data or the tokenizer cannot be used.
    """
    from alignment.data import load_data

    require_training()
    output = folder_of(recipe).path
    if recipe.stage == "constitution":
        from alignment.dry_run_constitution import plan

        return plan(recipe, str(output))
    stage_arguments(recipe, "text")  # a misspelt key is told of before rows are read
    data = load_data(recipe.data, recipe.stage)
    args = stage_arguments(recipe, data.format)
    limit = _limit(recipe, args)
    about = DryRun(recipe.stage, recipe.name, str(output), output.exists(), data.report, data.format, limit)
    tokenizer = _tokenizer(recipe, data, args)
    if isinstance(tokenizer, MaskError):
        return about.with_(refusal=tokenizer)
    rows, too_long, report, refusal = _measured(recipe, args, tokenizer, data, limit)
    _check_online(recipe, args, len(rows))
    about = about.with_(
        masks=report, too_long=too_long, refusal=refusal, preview=_preview(args, tokenizer, rows, data.format, shown)
    )
    if not report.sequences:
        return about
    steps = _steps(recipe, args, report)
    memory, reason = _memory(recipe, args, report)
    timing = _timing(recipe, args, tokenizer, rows, (data.format, report, memory, steps)) if time_it else None
    return about.with_(steps=steps, memory=memory, memory_unknown=reason, timing=timing, packed=_packed(args))


def _check_online(recipe: Recipe, args: Any, rows: int) -> None:
    """What stages that write completions want beside: a reward, and prompts for a whole batch."""
    if recipe.stage in ("ppo", "grpo", "rloo"):
        from alignment.reward_sources import check_sources

        check_sources(recipe)
    if recipe.stage in ("grpo", "rloo"):
        from alignment.grpo import check_groups

        check_groups(args, rows)


def stage_arguments(recipe: Recipe, row_format: str) -> Any:
    """The stage's training arguments, with the house's defaults for rows of a format. Raises RecipeError."""
    from alignment.training_arguments import training_arguments

    entry = STAGES[recipe.stage]
    stage = _stage(recipe)
    house = stage.house(row_format) if hasattr(stage, "house") else getattr(_module(recipe), "HOUSE", {})
    return training_arguments(recipe, folder_of(recipe), entry.config, **house)


def _limit(recipe: Recipe, args: Any) -> int | None:
    """Tokens of a row that the stage takes at most."""
    stage = _stage(recipe)
    if hasattr(stage, "limit"):
        limit: int | None = stage.limit(recipe, args)
        return limit
    found: int | None = _module(recipe).limit(recipe, args)
    return found


def _module(recipe: Recipe) -> Any:
    return importlib.import_module(STAGES[recipe.stage].module)


def _stage(recipe: Recipe) -> Any:
    """The stage's own defaults and limit: `stage_of(recipe)` of its module, where they depend on it, else `STAGE`."""
    module = _module(recipe)
    return module.stage_of(recipe) if hasattr(module, "stage_of") else getattr(module, "STAGE", None)


def _packed(args: Any) -> bool:
    from alignment.step_count import is_packed

    return is_packed(args)


def _tokenizer(recipe: Recipe, data: Data, args: Any) -> Any:
    """As the stage uses it, or what the guard has against it."""
    if not recipe.model.path:
        if recipe.stage != "pretrain":
            raise RecipeError("reading the recipe", "model.path is missing", "Say which model is taught")
        return _module(recipe).new_tokenizer(recipe, data.train)  # trained first, on the same rows
    refuse_adapter(resolve(recipe.model.path))
    tokenizer = load_tokenizer(recipe.model)
    if recipe.model.adapter:
        check_base(Path(resolve(recipe.model.adapter)), resolve(recipe.model.path))
    try:
        if data.format == "messages" and not _all_live(args, data.format):
            tokenizer = training_tokenizer(tokenizer)
        if not _all_live(args, data.format):
            check_tokenizer(tokenizer, data.train, data.format)
    except MaskError as error:
        return error
    return tokenizer


def _all_live(args: Any, row_format: str) -> bool:
    """Whether the recipe wishes all of a row trained."""
    return getattr(args, WISHES.get(row_format, ""), True) is False


def _measured(
    recipe: Recipe, args: Any, tokenizer: Any, data: Data, limit: int | None
) -> tuple[list[dict[str, Any]], tuple[TooLong, ...], MaskReport, MaskError | None]:
    """The rows that are left, those that are not, and what can be said of them."""
    report, refusal = measure(tokenizer, data.train, data.format)
    too_long = tuple(TooLong(index, length) for index, length in enumerate(report.lengths) if limit and length > limit)
    rows = data.train
    if too_long:
        left_out = {row.index for row in too_long}
        rows = [row for index, row in enumerate(rows) if index not in left_out]
        if rows:
            report, refusal = measure(tokenizer, rows, data.format)
        else:
            cause = f"none of the {len(data.train)} rows is at most {limit} tokens long"
            refusal = MaskError("counting tokens", cause, "Raise training.max_length")
            report = MaskReport(0, 0, 0, 0, report.longest)
    if _all_live(args, data.format):
        refusal = None
    return rows, too_long, report, refusal


def _sequences(args: Any, tokenizer: Any, row: dict[str, Any], row_format: str) -> tuple[TokenSequence, ...]:
    try:
        found = sequences(tokenizer, row, row_format)
    except MaskError:
        return ()  # told in the refusal
    return tuple(one.all_live() for one in found) if _all_live(args, row_format) else found


def _preview(
    args: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], row_format: str, shown: int | Sequence[int]
) -> tuple[MaskedRow, ...]:
    """The masks of the rows that are to be shown; of places that there are not, none."""
    places = range(shown) if isinstance(shown, int) else shown
    asked = [rows[place] for place in places if 0 <= place < len(rows)]
    found = [one for row in asked for one in _sequences(args, tokenizer, row, row_format)]
    return tuple(as_masked(tokenizer, one) for one in found)


def _steps(recipe: Recipe, args: Any, report: MaskReport) -> int:
    from alignment.step_count import count_steps

    return count_steps(recipe.stage, args, report.rows, report.tokens)


def _written(recipe: Recipe, args: Any) -> int:
    """Tokens of a completion that the model writes itself, at most."""
    return int(getattr(args, "max_completion_length", None) or 0) if recipe.stage in ("ppo", "grpo", "rloo") else 0


def _memory(recipe: Recipe, args: Any, report: MaskReport) -> tuple[Memory | None, str]:
    """The estimate, or why there is none."""
    from alignment.memory import estimate_memory
    from alignment.model_shape import model_shape

    try:
        shape = model_shape(recipe)
    except ModelError as error:
        return None, error.cause
    length = args.max_length if _packed(args) else report.longest + _written(recipe, args)
    batch = args.per_device_train_batch_size * _together(recipe, report)
    return estimate_memory(recipe, args, shape, batch, length), ""


def _together(recipe: Recipe, report: MaskReport) -> int:
    """Sequences of one row in a forward pass."""
    return -(-report.sequences // report.rows) if recipe.stage in ("dpo", "reward") else 1


def _timing(
    recipe: Recipe,
    args: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    known: tuple[str, MaskReport, Memory | None, int],
) -> Timing:
    from alignment.micro_step import packed_sequences, padded_prompts, time_micro_step

    row_format, report, memory, steps = known
    size = args.per_device_train_batch_size
    batch = [one for row in _typical(rows, report, size) for one in _sequences(args, tokenizer, row, row_format)]
    if _packed(args):
        batch = packed_sequences(batch, size, args.max_length)
    if written := _written(recipe, args):
        batch = padded_prompts(batch, written, tokenizer.eos_token_id or tokenizer.pad_token_id)
    needed = memory.total if memory else 0
    return time_micro_step(recipe, args, batch, tokenizer.pad_token_id, steps, needed)


def _typical(rows: Sequence[dict[str, Any]], report: MaskReport, count: int) -> list[dict[str, Any]]:
    """`count` rows spread evenly over the lengths there are, so that they stand for all."""
    readable = [index for index, length in enumerate(report.lengths) if length]
    ordered = sorted(readable, key=lambda index: report.lengths[index])
    return [rows[ordered[int((at + 0.5) / count * len(ordered))]] for at in range(count)]
