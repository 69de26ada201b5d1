"""Classifier-free guidance (Ho and Salimans 2022): labels dropped in training, two predictions joined in sampling.

guided = without + scale * (with - without): scale 0 is the unconditional model, 1 the conditional one, more than 1
trades diversity for certainty. (The paper's equation 6 counts from the conditional model: its w is scale - 1.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from decoder.errors import RecipeError
from generators.model import check_number

MOST = 100.0
Predict = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(x [n, c, s, s], times, labels [n] or None) -> prediction of x's shape."""


def drop_labels(labels: Tensor, share: float, no_label: int) -> Tensor:
    """[n] labels of which each is replaced by `no_label` with probability `share`, from torch's global generator."""
    dropped = torch.rand(len(labels), device=labels.device) < share
    return labels.masked_fill(dropped, no_label)


def guide(without: Tensor, within: Tensor, scale: float) -> Tensor:
    """The guided prediction; linear, so the same for noise, x0, velocity and v."""
    return without + scale * (within - without)


def guided(predict: Predict, labels: Tensor | None, no_label: int, scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The prediction that is sampled with: (x, time) -> [n, c, s, s]. One pass of the network where scale is 1 or 0 or
    where there are no labels, else one of twice the batch.
    """
    if labels is None:
        return lambda x, time: predict(x, time, None)
    none = torch.full_like(labels, no_label)
    if scale in (0.0, 1.0):
        chosen = labels if scale == 1.0 else none
        return lambda x, time: predict(x, time, chosen)
    both = torch.cat([none, labels])

    def found(x: Tensor, time: Tensor) -> Tensor:
        without, within = predict(torch.cat([x, x]), time, both).chunk(2)
        return guide(without, within, scale)

    return found


def asked_scale(asked: float | None, own: float, classes: int) -> float:
    """The scale to sample with: the one asked for, else the model's own.

    Raises:
        RecipeError: it is no number from 0 to 100, or there are no classes, and so nothing to be guided by.
    """
    if asked is None:
        return own
    check_number("guidance_scale", asked, 0, MOST)
    if not classes and asked != 1:
        cause = f"sampling.guidance_scale is {asked}, and the model knows no classes to be guided by"
        raise RecipeError("sampling", cause, "Leave it out, or train on pictures with labels and model.conditional")
    return asked


def guided_within(
    predict: Predict, labels: Tensor | None, no_label: int, scale: float, interval: Sequence[float], end: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Guidance at the times within `interval` (shares of `end`, the time of pure noise) and none outside it, where the
    conditional model alone speaks (Kynkäänniemi et al. 2024). Raises RecipeError for an interval that is none.
    """
    low, high = checked_interval(interval)
    strong, plain = guided(predict, labels, no_label, scale), guided(predict, labels, no_label, 1.0)
    return lambda x, time: (strong if low <= float(time) / end <= high else plain)(x, time)


def checked_interval(interval: Sequence[float]) -> tuple[float, float]:
    """Two numbers in [0, 1], the lower first. Raises RecipeError."""
    numbers = isinstance(interval, (list, tuple)) and all(isinstance(each, (int, float)) for each in interval)
    if not numbers or len(interval) != 2 or not 0 <= interval[0] <= interval[1] <= 1:
        cause = f"sampling.guidance_interval is {interval!r}"
        raise RecipeError("sampling", cause, "Give two numbers from 0 (picture) to 1 (noise), the lower first")
    return float(interval[0]), float(interval[1])
