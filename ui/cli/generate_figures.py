"""An evaluation as rows of a table: a figure a row, of both judges, each beside what real pictures score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADS = ("figure", "first judge", "real pictures", "second judge", "real pictures")
SIDES = (("first", "measures"), ("first", "floor"), ("second", "measures"), ("second", "floor"))


def evaluation_rows(plain: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of an evaluation as data; what a judge's features are comes first, the family's own figures last."""
    columns = [plain[judge][side] for judge, side in SIDES]
    rows: list[tuple[str, ...]] = [("judge", plain["first"]["judge"], "", plain["second"]["judge"], "")]
    for name, value in columns[0].items():
        if isinstance(value, Mapping):
            rows.append((name, *(shown(column.get(name)) for column in columns)))
        elif isinstance(value, int | float):
            rows.append((name, *(f"{column.get(name, '')}" for column in columns)))
    return rows + [(name, shown(value), "", "", "") for name, value in plain.get("figures", {}).items()]


def shown(value: Any) -> str:
    """A figure with its interval, a number, or nothing."""
    if isinstance(value, Mapping):
        low, high = value.get("low"), value.get("high")
        interval = f" ({number(low)} to {number(high)})" if low is not None and high is not None else ""
        return f"{number(value.get('value'))}{interval}"
    return number(value)


def number(value: Any) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, int | float) else str(value)
