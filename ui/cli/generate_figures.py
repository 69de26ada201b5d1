"""An evaluation as rows of a table, whatever figures it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def evaluation_rows(plain: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A figure a row: its name, its value, its interval where it has one. Texts and numbers are rows, too."""
    return list(_rows(plain, ""))


def _rows(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, str, str]]:
    for name, value in values.items():
        called = f"{before}{name}"
        if isinstance(value, Mapping) and "value" in value:
            low, high = value.get("low"), value.get("high")
            yield called, _number(value["value"]), "" if low is None else f"{_number(low)} to {_number(high)}"
        elif isinstance(value, Mapping):
            yield from _rows(value, f"{called}, ")
        elif value is not None and not isinstance(value, list | tuple):
            yield called, _number(value), ""


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
