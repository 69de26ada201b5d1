"""metrics.jsonl as one series a figure, of bounded size however long the run was."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_POINTS = 2000
"""Points of a series; a plot is some 700 pixels wide. Beyond, neighbours are merged."""


@dataclass(slots=True)
class Series:
    """One figure over steps. Each point stands for one logged value, or for neighbours that were merged.

    Attributes:
        steps: of each point, ascending; a merged one has the last of its steps.
        means, lows, highs: of the values that each point stands for.
        first, last: the values as they were logged.
        count: values logged.
    """

    steps: list[int] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    first: float = math.nan
    last: float = math.nan
    count: int = 0
    _width: int = 1
    _open: int = 0

    def add(self, step: int, value: float) -> None:
        """One more value. A step that goes back, as after a resumption, takes the place of what came after it."""
        while self.steps and self.steps[-1] >= step:
            self._pop()
        if self._open and self._open < self._width:
            self._merge_into_last(step, value)
        else:
            for column, item in zip(self._columns, (step, value, value, value), strict=True):
                column.append(item)
            self._open = 1
        self.first = value if self.count == 0 else self.first
        self.last, self.count = value, self.count + 1
        if len(self.steps) > MOST_POINTS:
            self._halve()

    @property
    def merged(self) -> bool:
        """Points stand for more than one value."""
        return self._width > 1

    @property
    def _columns(self) -> tuple[list[Any], ...]:
        return self.steps, self.means, self.lows, self.highs

    def _pop(self) -> None:
        for column in self._columns:
            column.pop()
        self._open = 0

    def _merge_into_last(self, step: int, value: float) -> None:
        self.steps[-1] = step
        self.means[-1] += (value - self.means[-1]) / (self._open + 1)
        self.lows[-1], self.highs[-1] = min(self.lows[-1], value), max(self.highs[-1], value)
        self._open += 1

    def _halve(self) -> None:
        """Merge each two neighbours; a last one without a neighbour stays."""
        pairs = range(0, len(self.steps), 2)
        self.steps = [self.steps[min(i + 1, len(self.steps) - 1)] for i in pairs]
        self.means = [sum(self.means[i : i + 2]) / len(self.means[i : i + 2]) for i in pairs]
        self.lows = [min(self.lows[i : i + 2]) for i in pairs]
        self.highs = [max(self.highs[i : i + 2]) for i in pairs]
        self._width *= 2
        self._open = 0


def read_series(file: Path) -> dict[str, Series]:
    """Every figure of a metrics.jsonl by name; text and what is no number is left out."""
    found: dict[str, Series] = {}
    for line in read_lines(file):
        step = line.get("step")
        if not isinstance(step, int):
            continue
        for name, value in line.items():
            if name != "step" and is_figure(value):
                found.setdefault(name, Series()).add(step, float(value))
    return found


def is_figure(value: Any) -> bool:
    """Whether it is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file as they come; a line that a crash cut off is none."""
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for line in lines:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found
