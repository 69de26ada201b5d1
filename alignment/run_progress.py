"""Where a run is while it trains, from its metrics file as it grows, whichever stage writes it. For whoever watches."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decoder.errors import HearthError

if TYPE_CHECKING:
    from pathlib import Path

    from decoder.runs.folder import RunFolder

SHOWN = ("loss", "reward", "kl", "accuracy", "rewards/accuracies", "eval_loss")


@dataclass(slots=True)
class Progress:
    """Where a run is, from the lines of its metrics file."""

    folder: RunFolder
    step: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    began: tuple[float, int] | None = None
    _inode: int = 0
    _at: int = 0

    def read(self, now: float) -> bool:
        """Take in what was added; whether that was anything."""
        lines = self._new_lines(self.folder.metrics_file)
        for line in lines:
            self.step = max(self.step, int(line.get("step") or 0))
            self.figures |= {name: value for name in SHOWN if isinstance(value := line.get(name), int | float)}
        if lines and self.began is None:
            self.began = (now, self.step)
        return bool(lines)

    def line(self, now: float) -> str:
        """As in "step 12 of 213, loss 2.31, 4 min left"."""
        total = self.total
        parts = [f"step {self.step:,}" + (f" of {total:,}" if total else "")]
        parts += [f"{name} {value:.4g}" for name, value in self.figures.items()]
        left = self._left(now)
        return ", ".join([*parts, *([f"{left} left"] if left else [])])

    @property
    def total(self) -> int:
        """Steps of the whole run; 0 while that is not known."""
        with contextlib.suppress(ValueError, OSError, HearthError):
            return int(self.folder.state.get("max_steps") or 0)
        return 0

    def seconds_left(self, now: float) -> float | None:
        """About how long it will take yet, by the steps that were seen; None while that cannot be said."""
        total = self.total
        if not total or self.began is None or self.step <= self.began[1]:
            return None
        a_step = (now - self.began[0]) / (self.step - self.began[1])
        return max(a_step * (total - self.step), 0.0)

    def _left(self, now: float) -> str:
        from alignment.dry_run_report import duration

        seconds = self.seconds_left(now)
        return "" if seconds is None else duration(seconds)

    def _new_lines(self, file: Path) -> list[dict[str, Any]]:
        """Whole lines since the last time; all of them when the file was replaced."""
        try:
            with file.open("rb") as opened:
                inode = os.fstat(opened.fileno()).st_ino
                if inode != self._inode or os.fstat(opened.fileno()).st_size < self._at:
                    self._inode, self._at = inode, 0
                opened.seek(self._at)
                added = opened.read()
        except FileNotFoundError:
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._at += len(whole)
        return [line for text in whole.splitlines() if isinstance(line := _parsed(text), dict)]


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
