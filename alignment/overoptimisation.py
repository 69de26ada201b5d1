"""Whether the reward that is trained on still says what is wanted: proxy against gold over the square root of the KL.

A policy that is pushed along a learned reward gains by it at first; further from the reference the reward that is
trained on (the proxy) keeps rising while the one that is meant (gold: a held-out reward model, or a scorer) falls
(Gao, Schulman and Hilton 2022, "Scaling laws for reward model overoptimization", figure 1). They measure distance as
d = sqrt(KL(policy || reference)) and find R(d) = d (alpha - beta log d) for reinforcement learning (equation 2).

The alarm looks at means over the last `window` batches, and sounds when all of this holds:
- gold is below its best mean so far by more than `deviations` standard errors of such a difference;
- the proxy is above what it was at gold's best, by more than RISE standard errors;
- the policy is further from the reference than it was then.
Noise is told from differences, which a slow trend does not touch (von Neumann et al. 1941). The best of many means is
high by luck, hence five deviations and not two; a test counts false alarms over many seeds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WINDOW = 10
DEVIATIONS = 5.0
RISE = 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """One batch: mean rewards, and the KL to the reference in nats: a response's, but a token's where GRPO logs it."""

    step: int
    proxy: float
    gold: float
    kl: float

    @property
    def distance(self) -> float:
        """The square root of the KL; an estimate below nothing counts as nothing."""
        return math.sqrt(max(self.kl, 0.0))


@dataclass(frozen=True, slots=True)
class Alarm:
    """Proxy and gold have parted.

    Attributes:
        step: when it was seen.
        best_step: when gold was at its best.
        distance, best_distance: square roots of the KL at both.
        gold_fall, proxy_rise: since then, means over a window; both positive.
    """

    step: int
    best_step: int
    distance: float
    best_distance: float
    gold_fall: float
    proxy_rise: float

    def __str__(self) -> str:
        return (
            f"over-optimised at step {self.step}: since step {self.best_step} the reward trained on rose by "
            f"{self.proxy_rise:.3g} and gold fell by {self.gold_fall:.3g}, while sqrt(KL) went from "
            f"{self.best_distance:.3g} to {self.distance:.3g}"
        )


@dataclass(frozen=True, slots=True)
class _Mean:
    step: int
    proxy: float
    gold: float
    distance: float


class _Noise:
    """The standard error of a mean over `window` values that scatter about a slowly moving line.

    The larger of two estimates by second differences, whose variance is six times that of what they are taken of: of
    single values, and of means over windows that do not overlap, which see noise that lasts over batches.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self._values, self._means = _SecondDifferences(), _SecondDifferences()
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        self._values.add(value)
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self.window:
            self._means.add(self._sum / self.window)
            self._sum, self._count = 0.0, 0

    @property
    def error(self) -> float:
        return math.sqrt(max(self._values.variance / self.window, self._means.variance))


class _SecondDifferences:
    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=3)
        self._squares, self._count = 0.0, 0

    def add(self, value: float) -> None:
        self._last.append(value)
        if len(self._last) == 3:
            first, second, third = self._last
            self._squares += (first - 2 * second + third) ** 2
            self._count += 1

    @property
    def variance(self) -> float:
        return self._squares / self._count / 6 if self._count else 0.0


class OveroptimisationMonitor:
    """Told of each batch, says when proxy and gold part; once, and again only after gold has had a new best."""

    def __init__(self, window: int = WINDOW, deviations: float = DEVIATIONS) -> None:
        self.window, self.deviations = window, deviations
        self.alarm: Alarm | None = None
        self._points: deque[Point] = deque(maxlen=window)
        self._proxy, self._gold = _Noise(window), _Noise(window)
        self._best: _Mean | None = None
        self._seen = 0

    def add(self, step: int, proxy: float | None, gold: float | None, kl: float | None) -> Alarm | None:
        """One batch's mean rewards and KL. What is no number is passed over. Returns an alarm when it begins."""
        if proxy is None or gold is None or kl is None or not all(map(math.isfinite, (proxy, gold, kl))):
            return None
        self._points.append(Point(step, proxy, gold, kl))
        self._proxy.add(proxy)
        self._gold.add(gold)
        self._seen += 1
        if self._seen < self.window:
            return None
        return self._judge(self._mean())

    def _mean(self) -> _Mean:
        count = len(self._points)
        return _Mean(
            self._points[-1].step,
            sum(p.proxy for p in self._points) / count,
            sum(p.gold for p in self._points) / count,
            sum(p.distance for p in self._points) / count,
        )

    def _judge(self, now: _Mean) -> Alarm | None:
        best = self._best
        if best is None or now.gold > best.gold:
            self._best, self.alarm = now, None
            return None
        fallen = best.gold - now.gold > self.deviations * math.sqrt(2) * self._gold.error
        risen = now.proxy - best.proxy > RISE * math.sqrt(2) * self._proxy.error
        if self.alarm is not None or not (fallen and risen and now.distance > best.distance):
            return None
        rise, fall = now.proxy - best.proxy, best.gold - now.gold
        self.alarm = Alarm(now.step, best.step, now.distance, best.distance, fall, rise)
        return self.alarm


def watch(points: Iterable[Point], window: int = WINDOW, deviations: float = DEVIATIONS) -> list[Alarm]:
    """The alarms of a whole run."""
    monitor = OveroptimisationMonitor(window, deviations)
    found = (monitor.add(point.step, point.proxy, point.gold, point.kl) for point in points)
    return [alarm for alarm in found if alarm is not None]


def points_of(metrics: Iterable[Mapping[str, Any]]) -> list[Point]:
    """The batches of a run's metrics that tell reward, gold reward and KL; TRL's trainers log gold as a source."""
    found = []
    for line in metrics:
        gold = line.get("gold_reward", line.get("rewards/gold/mean"))
        values = [line.get("reward"), gold, line.get("kl")]
        if all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
            found.append(Point(int(line.get("step", 0)), *map(float, values)))
    return found


@dataclass(frozen=True, slots=True)
class GoldCurve:
    """Gao et al.'s R(d) = start + d (alpha - beta log d), by least squares.

    Attributes:
        peak: the distance beyond which gold falls, exp(alpha / beta - 1); None where the curve does not turn.
    """

    start: float
    alpha: float
    beta: float
    peak: float | None


def fit_gold(points: Iterable[Point]) -> GoldCurve | None:
    """The curve of gold over distance; None from fewer than eight points, or where the distance hardly varies."""
    import numpy as np

    held = [(point.distance, point.gold) for point in points if point.distance > 0]
    if len(held) < 8:
        return None
    distance, gold = np.array(held).T
    terms = np.stack([np.ones_like(distance), distance, -distance * np.log(distance)], axis=1)
    (start, alpha, beta), _, rank, _ = np.linalg.lstsq(terms, gold, rcond=1e-8)
    if rank < 3:
        return None
    turns = beta > 0 and alpha / beta - 1 < math.log(2 * distance.max())
    return GoldCurve(float(start), float(alpha), float(beta), float(np.exp(alpha / beta - 1)) if turns else None)
