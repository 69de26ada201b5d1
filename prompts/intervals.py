"""How sure a figure is: Wilson's interval for shares, a seeded bootstrap for means and for paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decoder.errors import MissingExtra

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure over `count` questions, and the bounds of its 95% interval."""

    value: float
    low: float
    high: float
    count: int


def share(hits: int, count: int) -> Interval:
    """`hits` of `count` (at least 1) with Wilson's score interval (Wilson 1927). Raises MissingExtra."""
    try:
        from scipy.stats import binomtest  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("working out intervals", "scipy", "rag") from error
    found = binomtest(hits, count).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Interval(hits / count, float(found.low), float(found.high), count)


def mean(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of `values` (at least one): a share when all are 0 or 1, else the percentile bootstrap (Efron 1979)."""
    if all(value in (0, 1) for value in values):
        return share(round(sum(values)), len(values))
    return _bootstrap(values, seed)


def difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """Mean of `second` minus `first`, question by question: the bootstrap draws questions, never one side alone.

    Both hold at least one value, and equally many.
    """
    return _bootstrap([b - a for a, b in zip(first, second, strict=True)], seed)


def _bootstrap(values: Sequence[float], seed: int) -> Interval:
    try:
        import numpy as np
        from scipy.stats import bootstrap
    except ImportError as error:
        raise MissingExtra("working out intervals", "scipy", "rag") from error

    data = np.asarray(values, dtype=float)
    value = float(data.mean())
    if len(data) == 1 or np.ptp(data) == 0:  # every resample is the same, which scipy refuses
        return Interval(value, value, value, len(data))
    found = bootstrap(
        (data,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // len(data)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high), len(data))
