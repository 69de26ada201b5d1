"""Runs with their evaluations as rows: one a recipe, means over seeds, the floor of real pictures above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generators.compare_runs import Entry
from generators.metrics import FIGURES
from generators.resamples import Figure

JUDGES = ("first", "second")


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe over its seeds.

    Attributes:
        name, family: of the recipe; `name` of the floor's row says how many pictures it is of.
        judged: by judge and figure.
        parameters, steps, seconds: of one run, the mean of the seeds.
        draw_milliseconds: of CPU time for one picture.
        alarms: their kinds, by how many runs they rang in.
    """

    name: str
    family: str
    judged: Mapping[str, Mapping[str, Figure]]
    parameters: float = 0.0
    steps: float = 0.0
    seconds: float = 0.0
    draw_milliseconds: float = 0.0
    alarms: Mapping[str, int] | None = None


def rows(entries: Sequence[Entry]) -> list[Row]:
    """The floor, then a row for each recipe in the order in which they come first."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.recipe.name, []).append(entry)
    return [_floor(entries[0]), *(_row(name, found) for name, found in by_name.items())]


def spread(values: Sequence[Mapping[str, float]]) -> Figure:
    """Of several seeds the mean, lowest and highest (their own intervals are left out); of one, its figure."""
    if len(values) == 1:
        return Figure(**values[0])
    plain = [each["value"] for each in values]
    return Figure(sum(plain) / len(plain), min(plain), max(plain))


def figures_shown(found: Sequence[Row], judge: str) -> list[tuple[str, str]]:
    """(key, title) of the figures that any of the rows has."""
    return [(key, title) for key, title in FIGURES.items() if any(key in row.judged[judge] for row in found)]


def _floor(entry: Entry) -> Row:
    judged = {judge: _spreads([entry.evaluation[judge]["floor"]]) for judge in JUDGES}
    return Row(f"real pictures (n={entry.evaluation['first']['floor']['n']})", "", judged)


def _row(name: str, entries: Sequence[Entry]) -> Row:
    states = [entry.folder.state for entry in entries]
    rung: dict[str, int] = {}
    for state in states:
        for kind in {alarm["kind"] for alarm in state.get("alarms") or ()}:
            rung[kind] = rung.get(kind, 0) + 1
    drawn = [1000 * e.evaluation["sampling_seconds"] / max(1, e.evaluation["samples"]) for e in entries]
    return Row(
        name,
        entries[0].recipe.family,
        {judge: _spreads([entry.evaluation[judge]["measures"] for entry in entries]) for judge in JUDGES},
        _mean([float((state.get("parameters") or {}).get("all") or 0) for state in states]),
        _mean([float(state.get("steps") or 0) for state in states]),
        _mean([float(state.get("seconds") or 0) for state in states]),
        _mean(drawn),
        rung,
    )


def _spreads(measures: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    known = [key for key in FIGURES if all(isinstance(each.get(key), Mapping) for each in measures)]
    return {key: spread([each[key] for each in measures]) for key in known}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
