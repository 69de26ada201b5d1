"""Memorisation: samples that lie nearer to the training pictures than pictures held out do.

Source: Meehan, Chaudhuri and Dasgupta, A non-parametric test to detect data-copying in generative models (2020), which
compares the same two sets of distances, by a rank test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generators.resamples import Figure, Resamples

if TYPE_CHECKING:
    from torch import Tensor

NOTHING = 1e-12
"""A distance that is none, and yet can be divided by."""


def nearest_distances(samples: Tensor, train: Tensor) -> Tensor:
    """[n] distances of features [n, d] to the nearest of the training pictures' [m, d]."""
    import torch

    return torch.cat([torch.cdist(rows, train).amin(1) for rows in torch.split(samples, 512)])


def nearest_ratio(samples: Tensor, held_out: Tensor, resamples: Resamples) -> Figure:
    """Median nearest distance [n] of samples to the training pictures, by that of held-out pictures [m]; the interval
    has both medians' uncertainty.

    1: as far away as unseen pictures of the same kind, also where these are copies themselves; 0: copies; well above 1:
    unlike any picture.
    """
    both = Resamples.draw(len(held_out), len(resamples.weights), seed=1)
    value = (float(samples.median()) + NOTHING) / (float(held_out.median()) + NOTHING)

    def ratios(weights: Tensor) -> Tensor:
        return (_medians(samples, weights) + NOTHING) / (_medians(held_out, both.weights) + NOTHING)

    return resamples.figure(value, ratios, 0.0, float("inf"))


def _medians(values: Tensor, weights: Tensor) -> Tensor:
    """[r] medians of values [n], each as often as weights [r, n] say."""
    order = values.argsort()
    below = weights[:, order].cumsum(1)
    place = (below >= below[:, -1:] / 2).double().argmax(1)
    return values[order][place].double()
