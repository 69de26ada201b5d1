"""What the responses of a rollout are worth: every reward source's figures, and the gold scorer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alignment.errors import DataError
from alignment.reward_sources import RewardFunction


@dataclass(frozen=True, slots=True)
class Scores:
    """Of n episodes: their sums, each source's by its name, and the gold scorer's, where there is one."""

    total: list[float]
    by_source: dict[str, list[float]]
    gold: list[float] | None


def score(
    rows: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    ids: Sequence[Sequence[int]],
    sources: Sequence[RewardFunction],
    gold: RewardFunction | None,
    numbers: Sequence[int] = (),
) -> Scores:
    """Ask every source, with completions in the form of their prompts, as TRL gives them.

    Args:
        rows: the data's rows, a row an episode; their further columns go to the sources.
        numbers: where the rows are in the data, to be named in errors.

    Raises:
        DataError: a source gave no finite number for an episode.
    """
    prompts = [row["prompt"] for row in rows]
    completions = [
        text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
        for prompt, text in zip(prompts, texts, strict=True)
    ]
    names = {key for row in rows for key in row if key not in ("prompt", "prompts", "completions")}
    columns = {name: [row.get(name) for row in rows] for name in sorted(names)} | {"completion_ids": list(ids)}
    try:
        figures = [source(prompts=prompts, completions=completions, **columns) for source in sources]
        watched = gold(prompts=prompts, completions=completions, **columns) if gold else None
    except DataError as error:
        if error.row is None or not numbers:
            raise
        raise _of_data(error, numbers[error.row]) from error
    by_source = {source.__name__: found for source, found in zip(sources, figures, strict=True)}
    return Scores([sum(each) for each in zip(*figures, strict=True)], by_source, watched)


def _of_data(error: DataError, number: int) -> DataError:
    named = DataError(error.step, f"{error.cause} (row {number} of the data)", error.remedy)
    named.row, named.field = number, error.field
    return named
