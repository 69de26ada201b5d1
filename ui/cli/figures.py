"""Figures with their intervals as rows of a table: of one run, or of two held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompts.intervals import Interval

SUMMARY_HEADS = ("figure", "mean", "95% interval", "questions")


def compared_heads(first: str, second: str) -> tuple[str, ...]:
    """The heads of `compared_rows`, with the names of the two."""
    return ("figure", first, second, "B minus A", "95% interval", "pairs")


def summary_rows(summary: Mapping[str, Interval]) -> list[tuple[str, ...]]:
    """A figure a row."""
    return [(name, f"{i.value:.3f}", f"{i.low:.3f} to {i.high:.3f}", str(i.count)) for name, i in summary.items()]


def compared_rows(
    first: Mapping[str, Interval], second: Mapping[str, Interval], differences: Mapping[str, Interval]
) -> list[tuple[str, ...]]:
    """A figure a row: both means, and their paired difference where there is one."""
    rows = []
    for name in dict.fromkeys((*first, *second)):
        means = [f"{side[name].value:.3f}" if name in side else "-" for side in (first, second)]
        paired = differences.get(name)
        rows.append((name, *means, *(_change(paired) if paired else ("-", "-", "-"))))
    return rows


def _change(paired: Interval) -> tuple[str, str, str]:
    return f"{paired.value:+.3f}", f"{paired.low:+.3f} to {paired.high:+.3f}", str(paired.count)
