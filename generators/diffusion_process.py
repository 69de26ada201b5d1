"""The forward process and what a network may predict of it, as plain equations.

x_t = a_t x_0 + s_t e, with a_t^2 = alpha_bar_t, s_t^2 = 1 - alpha_bar_t and e of unit variance (Ho et al. 2020,
equation 4). Three predictions say the same of x_t: e, x_0, and v = a_t e - s_t x_0 (Salimans and Ho 2022, appendix D).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from generators.pictures import Pictures

Prediction = Literal["epsilon", "sample", "v_prediction"]
"""diffusers' names of the predictions of noise, x_0 and v."""

Schedule = Literal["linear", "squaredcos_cap_v2"]
"""diffusers' names of the linear schedule and of the cosine schedule (Nichol and Dhariwal 2021, equation 17)."""


def scales(alpha_bar: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """a_t and s_t at `times` [n], each [n, 1, 1, 1]."""
    found = alpha_bar.to(times.device)[times].view(-1, 1, 1, 1)
    return found.sqrt(), (1 - found).sqrt()


def add_noise(clean: Tensor, noise: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """x_t of x_0 and e."""
    return a * clean + s * noise


def target(kind: Prediction, clean: Tensor, noise: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """What a network that predicts `kind` should say."""
    if kind == "epsilon":
        return noise
    return clean if kind == "sample" else a * noise - s * clean


def clean_and_noise(kind: Prediction, said: Tensor, noisy: Tensor, a: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """x_0 and e, as a prediction `said` of `kind` at x_t `noisy` has them."""
    if kind == "epsilon":
        return (noisy - s * said) / a, said
    if kind == "sample":
        return said, (noisy - a * said) / s
    return a * noisy - s * said, s * noisy + a * said


def min_snr_weight(kind: Prediction, a: Tensor, s: Tensor, gamma: float) -> Tensor:
    """The weight of a loss on `kind` that weighs the loss on x_0 by min(SNR, gamma) (Hang et al. 2023, section 3.4)."""
    snr = (a / s) ** 2
    bounded = snr.clamp(max=gamma)
    if kind == "sample":
        return bounded
    return bounded / snr if kind == "epsilon" else bounded / (snr + 1)


def spread_times(count: int, generator: torch.Generator | None = None) -> Tensor:
    """[count] in [0, 1): one uniform draw, and the others at equal distances from it, so that every batch visits all
    of the schedule (Kingma et al. 2021, appendix I.1).
    """
    start = torch.rand((), generator=generator)
    return (start + torch.arange(count) / count) % 1


def held_out_error(
    pictures: Pictures,
    generator: torch.Generator,
    device: torch.device,
    errors: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor],
) -> float:
    """The mean of `errors(clean, noise, shares of the time, labels)` [n] over held-out pictures.

    Noise and times come from `generator`, so that models can be compared.
    """
    total = 0.0
    for index in torch.split(torch.arange(len(pictures)), 256):
        batch = pictures.batch(index)
        noise = torch.randn(batch.images.shape, generator=generator)
        shares = spread_times(len(index), generator)
        labels = batch.labels.to(device) if batch.labels is not None else None
        total += float(errors(batch.images.to(device), noise.to(device), shares.to(device), labels).sum())
    return total / len(pictures)
