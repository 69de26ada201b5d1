"""How fast something goes, and how long it will take yet: a rate that does not jump."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

HALF_LIFE = 4.0
"""Seconds after which what was seen counts half."""
SOONEST = 0.2
"""Seconds between two looks at the rate."""


class Pace:
    """Told how many are done, it knows how many a second. Another step begins anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._step = clock, ""
        self._then, self._done, self._newest, self._total = 0.0, 0, 0, 0
        self.rate: float | None = None

    def at(self, step: str, done: int, total: int) -> None:
        """So many of `total` are done."""
        now = self._clock()
        if step != self._step or done < self._done:
            self._step, self._then, self._done, self.rate = step, now, done, None
        self._newest, self._total = done, total
        passed = now - self._then
        if passed < SOONEST or done == self._done:
            return
        seen, weight = (done - self._done) / passed, 1 - math.pow(0.5, passed / HALF_LIFE)
        self.rate = seen if self.rate is None else weight * seen + (1 - weight) * self.rate
        self._then, self._done = now, done

    @property
    def remaining(self) -> float | None:
        """Seconds until the step is done; None while nobody knows."""
        if not self.rate or self._total <= 0:
            return None
        return max(0.0, (self._total - self._newest) / self.rate)
