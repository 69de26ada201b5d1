"""What a measure says: how many were right of how many, with intervals, and what it took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from decoder.types import Sampling
from prompts.intervals import Interval, difference, share
from prompts.results import EvalProgress

MAX_TOKENS = 96
"""Of any one answer: three times what the longest right one needs."""
GREEDY = Sampling(temperature=0.0, max_tokens=MAX_TOKENS)
Tell: TypeAlias = Callable[[EvalProgress], None]


@dataclass(frozen=True, slots=True)
class Score:
    """So many right of so many, as a share with Wilson's 95% interval."""

    name: str
    right: int
    of: int
    share: Interval


@dataclass(frozen=True, slots=True)
class Difference:
    """What one way does better than another on the same cases: a paired difference of shares."""

    name: str
    change: Interval


@dataclass(frozen=True, slots=True)
class Measure:
    """What came of one measure.

    Attributes:
        tokens: that the decoder wrote.
        seconds: that the decoder worked on it, tools and reading included.
        failed: cases that the decoder failed on, which count as wrong, with the reason.
    """

    name: str
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...] = ()
    tokens: int = 0
    seconds: float = 0.0
    failed: Mapping[str, str] = field(default_factory=dict)


def scores(judged: Mapping[str, Sequence[bool]]) -> tuple[Score, ...]:
    """A score for each name that has cases."""
    return tuple(
        Score(name, sum(right), len(right), share(sum(right), len(right))) for name, right in judged.items() if right
    )


def changed(name: str, first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """Second minus first, case by case."""
    return Difference(name, difference([float(each) for each in first], [float(each) for each in second]))


def chosen(right: Sequence[bool], wanted: Sequence[bool]) -> list[bool]:
    """The judgements of the cases that are wanted."""
    return [each for each, want in zip(right, wanted, strict=True) if want]
