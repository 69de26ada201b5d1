"""Memorisation: samples that lie nearer to the training pictures than pictures held out do.

Source: Meehan, Chaudhuri and Dasgupta, A non-parametric test to detect data-copying in generative models (2020), which
compares the same two sets of distances, by a rank test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from generators.resamples import Figure, Resamples


def nearest_distances(samples: Tensor, train: Tensor) -> Tensor:
    """[n] distances of features [n, d] to the nearest of the training pictures' [m, d]."""
    import torch

    return torch.cat([torch.cdist(rows, train).amin(1) for rows in torch.split(samples, 512)])


def nearest_ratio(samples: Tensor, held_out: Tensor, resamples: Resamples) -> Figure:
    """Median nearest distance [n] of samples to the training pictures, by that of held-out pictures [m].

    1: as far away as unseen pictures of the same kind; 0: copies; well above 1: unlike any picture.
    """
    usual = max(float(held_out.median()), 1e-12)
    value = float(samples.median()) / usual
    order = samples.argsort()

    def medians(weights: Tensor) -> Tensor:
        below = weights[:, order].cumsum(1)
        place = (below >= below[:, -1:] / 2).double().argmax(1)
        return samples[order][place].double() / usual

    return resamples.figure(value, medians, 0.0, float("inf"))
