"""How sure a figure is: the bootstrap over samples, and Wilson's interval for shares.

Sources: Efron, Bootstrap methods (1979); Wilson, Probable inference (1927).

A resample has fewer different samples than the sample itself. That pushes a distance up, and whatever counts what is
covered down, beyond the figure itself, and a plain percentile interval may then not even hold the figure. So the
resamples' spread around their own mean is laid around the figure. What the figure itself is off by for being taken of
few samples stays in it; its floor, taken of as many real pictures, shows how much that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95% interval; without resamples the interval is the figure itself."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True, slots=True)
class Resamples:
    """Seeded resamples of n samples, with replacement.

    Attributes:
        weights: [r, n] float64: how often each resample has each sample.
    """

    weights: Tensor

    @classmethod
    def draw(cls, count: int, resamples: int, seed: int) -> Resamples:
        """`resamples` of `count` samples."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(count, (resamples, count), generator=generator)
        weights = torch.zeros(resamples, count, dtype=torch.float64)
        return cls(weights.scatter_add_(1, drawn, torch.ones(drawn.shape, dtype=torch.float64)))

    def figure(self, value: float, of: Callable[[Tensor], Tensor], low: float, high: float) -> Figure:
        """`value` with the spread of `of(weights)`, [r], within the bounds that the figure can have."""
        import torch

        if not len(self.weights):
            return Figure(value, value, value)
        found = of(self.weights).double()
        tail = (1 - CONFIDENCE) / 2
        ends = torch.quantile(found - found.mean(), torch.tensor([tail, 1 - tail], dtype=torch.float64))
        under, over = min(0.0, float(ends[0])), max(0.0, float(ends[1]))  # a rare outlier moves the mean past both ends
        return Figure(value, max(low, value + under), min(high, value + over))

    def mean(self, values: Tensor, low: float = 0.0, high: float = float("inf")) -> Figure:
        """The mean of values [n]."""
        values = values.double()
        return self.figure(float(values.mean()), lambda weights: weights @ values / len(values), low, high)


def share(hits: Tensor) -> Figure:
    """The share of true among hits [n] bool, with Wilson's interval: 1.0 of few is not as sure as 1.0 of many."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    count = len(hits)
    found = binomtest(int(hits.sum()), count).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Figure(float(hits.double().mean()), float(found.low), float(found.high))
