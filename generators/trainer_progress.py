"""How far a run is, for whoever watches it: a progress bar, a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """A run after one of its steps.

    Attributes:
        step, max_steps: updates made, and the limit; 0 means none.
        spent, budget: CPU seconds (on a GPU, wall seconds) spent in training steps, and the limit; 0 means none.
        share: of the run that is done, in [0, 1].
        losses: means since the last logged line, by `phase/name`.
        eta_seconds: wall seconds until its end, evaluations and samples included as they went so far; None: unknown.
        grid: the newest sample grid; None when there is none.
        alarm: the text of the newest alarm; empty when none rang.
    """

    step: int
    max_steps: int
    spent: float
    budget: float
    share: float
    losses: Mapping[str, float]
    eta_seconds: float | None = None
    grid: Path | None = None
    alarm: str = ""


Watcher: TypeAlias = Callable[[Progress], None]


def share_done(step: int, max_steps: int, spent: float, budget: float) -> float:
    """The share of the run that is done, in [0, 1]; of two limits, the one that will be reached first rules."""
    return min(1.0, max(step / max_steps if max_steps else 0.0, spent / budget if budget else 0.0))


def eta(elapsed: float, began_at: float, share: float) -> float | None:
    """Wall seconds left, when `elapsed` led from the share `began_at` to `share`; None before anything is done."""
    return elapsed * (1 - share) / (share - began_at) if share > began_at else None
