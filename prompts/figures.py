"""Figures of many questions summed up, and of two runs over the same questions held against each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from prompts.intervals import Interval, difference, mean
from prompts.results import Keyed


def summarise(rows: Sequence[Keyed], seed: int = 0) -> dict[str, Interval]:
    """Each figure's mean over the questions that have it, with its interval; figures that none has are absent.

    Metrics come in the order that the rows have them in, then times, as `<name>_seconds`.
    """
    found: dict[str, list[float]] = {name: [] for row in rows for name in row.metrics}
    for row in rows:
        for name, value in figures(row):
            found.setdefault(name, []).append(value)
    return {name: mean(values, seed) for name, values in found.items() if values}


def compare_rows(
    first: Sequence[Keyed], second: Sequence[Keyed], seed: int = 0, unpaired: Collection[str] = ()
) -> dict[str, Interval]:
    """Second minus first, figure by figure, over the questions for which both have it.

    Args:
        unpaired: figures that are left out, since they are over what a run itself chose to do.
    """
    theirs = {row.id: row for row in second}
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in first:
        there = dict(figures(theirs[row.id]))
        for name, value in figures(row):
            if name in there and name not in unpaired:
                here_values, there_values = found.setdefault(name, ([], []))
                here_values.append(value)
                there_values.append(there[name])
    return {name: difference(here, others, seed) for name, (here, others) in found.items()}


def figures(row: Keyed) -> Iterator[tuple[str, float]]:
    """The figures that a row has, and its times."""
    yield from ((name, value) for name, value in row.metrics.items() if value is not None)
    yield from ((f"{name}_seconds", value) for name, value in row.timings.items())
