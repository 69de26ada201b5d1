"""What is seen of a model while it trains: the trainer tells each step, and one line says where the run is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ui.cli.output import remark, spinner

if TYPE_CHECKING:
    from generators.trainer_progress import Progress

EVERY = 0.5
MOST_FIGURES = 4
BESIDE = ("/learning_rate", "/grad_norm")
"""Figures that are in the report alone: the line is for the losses."""


@contextlib.contextmanager
def watching(what: str) -> Iterator[Callable[[Progress], None]]:
    """A callback for the trainer's progress that shows it on standard error; alarms and new grids get a line each."""
    with spinner(what) as show:
        yield Display(show)


class Display:
    """Shows a line twice a second at most, and an alarm once, when it rings."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._last, self._alarm = show, -EVERY, ""

    def __call__(self, progress: Progress) -> None:
        """One step is done."""
        if progress.alarm and progress.alarm != self._alarm:
            self._alarm = progress.alarm
            remark(f"alarm: {progress.alarm}")
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._show(line(progress))


def line(progress: Progress) -> str:
    """As in "31%, step 420, 31.0 of 100 s, loss 0.231, 2 min left"."""
    from alignment.dry_run_report import duration

    steps = f" of {progress.max_steps:,}" if progress.max_steps else ""
    shown = [(name, value) for name, value in progress.losses.items() if not name.endswith(BESIDE)]
    parts = [f"{progress.share:.0%}", f"step {progress.step:,}{steps}"]
    parts += [f"{progress.spent:.1f} of {progress.budget:g} s"] if progress.budget else []
    parts += [f"{name} {value:.4g}" for name, value in shown[:MOST_FIGURES]]
    parts += [f"{duration(progress.eta_seconds)} left"] if progress.eta_seconds is not None else []
    parts += [f"grid {progress.grid}"] if progress.grid is not None else []
    return ", ".join(parts)
