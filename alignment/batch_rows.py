"""Which rows of the training set a batch was made of, found afterwards by the batch's own token ids.

Nothing is carried along while training goes well; only when a loss is no number are the rows prepared once more, by the
trainer's own preparation, and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Ids = tuple[int, ...]
ANSWERS = ("chosen_ids", "rejected_ids", "completion_ids")
"""Columns that follow `prompt_ids` in a sequence of a batch: the two of DPO, that of KTO. SFT has `input_ids` alone."""


def rows_of(trainer: Any, rows: Sequence[Mapping[str, Any]], batches: Sequence[Any]) -> list[int]:
    """Indices into `rows`, which are what the trainer was given, of those that any of `batches` was made of.

    Empty when they cannot be told: packing by `wrapped` cuts rows where it likes.
    """
    if any(isinstance(batch, list) for batch in batches):
        prompts = [example["prompt"] for batch in batches for example in batch]
        return [index for index, row in enumerate(rows) if row["prompt"] in prompts]
    seen = {ids for batch in batches for ids in sequences(batch)}
    return [index for index, ids in enumerate(_prepared(trainer, rows)) if seen & ids]


def sequences(batch: Mapping[str, Any]) -> Iterable[Ids]:
    """The sequences of a padded batch, or of one without padding in which each begins at position 0."""
    ids = batch["input_ids"].tolist()
    if "attention_mask" in batch:
        for row, mask in zip(ids, batch["attention_mask"].tolist(), strict=True):
            yield tuple(token for token, live in zip(row, mask, strict=True) if live)
        return
    for row, positions in zip(ids, batch["position_ids"].tolist(), strict=True):
        starts = [i for i, position in enumerate(positions) if position == 0]
        for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
            yield tuple(row[start:end])


def _prepared(trainer: Any, rows: Sequence[Mapping[str, Any]]) -> Iterable[set[Ids]]:
    """The sequences that each row becomes."""
    from alignment.data_table import as_table

    raw = as_table(rows)
    extra = (False, None) if hasattr(trainer, "completion_only_loss") else ()  # SFT's: no packing, no formatting
    made = trainer._prepare_dataset(raw, trainer.processing_class, trainer.args, *extra, "rows")
    for example in made:
        if "response_ids" in example:  # the reward stage's: all answers to a prompt
            yield {tuple(ids) for ids in example["response_ids"]}
            continue
        answers = [example[name] for name in ANSWERS if name in example]
        yield {tuple(example["prompt_ids"] + answer) for answer in answers} or {tuple(example["input_ids"])}
