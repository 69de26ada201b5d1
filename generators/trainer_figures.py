"""What is logged: means of the losses since the last line, some two hundred lines a run however long it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

LINES = 200
"""Lines of losses in the metrics.jsonl of a run that is not broken off."""


class Meter:
    """Means of figures by name."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._lines = 0

    def add(self, phase: str, figures: Mapping[str, Any]) -> None:
        """Figures of one micro-batch, under `phase/name`."""
        for name, value in figures.items():
            known = f"{phase}/{name}"
            self._sums[known] = self._sums.get(known, 0.0) + float(
                value.detach() if isinstance(value, Tensor) else value
            )
            self._counts[known] = self._counts.get(known, 0) + 1

    def means(self) -> dict[str, float]:
        """Since the last line that was due."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    def due(self, progress: float) -> bool:
        """Whether a line is due; after it, call `clear`."""
        return bool(self._sums) and _lines_at(progress) > self._lines

    def clear(self, progress: float) -> None:
        """Begin the next line."""
        self._sums, self._counts, self._lines = {}, {}, _lines_at(progress)

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from, as JSON."""
        return {"sums": self._sums, "counts": self._counts, "lines": self._lines}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._sums, self._counts, self._lines = dict(state["sums"]), dict(state["counts"]), int(state["lines"])


def _lines_at(progress: float) -> int:
    """Lines that a run has at this share; 29 of 200 steps are 29 lines, whatever their quotient is rounded to."""
    return int(min(progress, 1.0) * LINES + 1e-6)
