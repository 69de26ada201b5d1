"""A scheduler held against what is known: the perfect denoiser of a Gaussian, and where it must end.

For data N(mean, spread^2), E[x_0 | x_t] is linear in x_t, so what every deterministic scheduler should draw is a
Gaussian too, with the mean of the data and, as steps grow, its spread. Schedulers that take the wrong previous time, or
magnify errors, show.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from generators.diffusion_process import target
from generators.schedulers import betas_of

MEAN, SPREAD = 0.2, 0.35


@dataclass(frozen=True, slots=True)
class Ended:
    """Mean and standard deviation of what was drawn."""

    mean: float
    spread: float


def perfect(kind: Any, noisy: Tensor, alpha_bar: Tensor, error: float = 0.0) -> Tensor:
    """What a perfect network says at x_t, or one whose noise is too large by the share `error`."""
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    gain = a * SPREAD**2 / (alpha_bar * SPREAD**2 + 1 - alpha_bar)
    noise = (noisy - a * (MEAN + gain * (noisy - a * MEAN))) / s * (1 + error)
    return target(kind, (noisy - s * noise) / a, noise, a, s)


def drawn(scheduler: Any, steps: int, count: int = 4000, error: float = 0.0, **options: Any) -> Ended:
    """Draw `count` numbers with a scheduler of a diffusion schedule; `options` go to each step."""
    scheduler.set_timesteps(steps)
    alpha_bars = torch.cumprod(1 - betas_of(scheduler.config).double(), 0)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((count, 1, 1, 1), generator=generator) * scheduler.init_noise_sigma
    if "generator" in inspect.signature(scheduler.step).parameters:
        options = {**options, "generator": generator}
    for time in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, time).double()
        said = perfect(scheduler.config.prediction_type, scaled, _between(alpha_bars, float(time)), error)
        x = scheduler.step(said.float(), time, x, return_dict=False, **options)[0]
    return Ended(float(x.mean()), float(x.std()))


def _between(alpha_bars: Tensor, time: float) -> Tensor:
    """alpha_bar at a time that may lie between two steps: log sigma is interpolated."""
    low = int(time)
    share = time - low
    log_sigma = 0.5 * ((1 - alpha_bars) / alpha_bars).log()
    found = log_sigma[low] * (1 - share) + log_sigma[min(low + 1, len(log_sigma) - 1)] * share
    return torch.sigmoid(-2 * found)
