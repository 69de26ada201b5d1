"""KID: the squared maximum mean discrepancy of two sets of features under a cubic kernel, without bias.

Source: Bińkowski, Sutherland, Arbel and Gretton, Demystifying MMD GANs (2018), section 4: k(x, y) = (x·y / d + 1)³.
The kernel has no scale of its own: where features are large its cube drowns everything, so they are standardised first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generators.frechet import check_features

if TYPE_CHECKING:
    from torch import Tensor


def kernel_distance(samples: Tensor, reference: Tensor) -> float:
    """The unbiased squared discrepancy of standardised features [n, d] and [m, d]; about 0 for equal distributions,
    and as often below as above it.

    Raises:
        DataError: a set has fewer than 2 rows, or a value is no number.
    """
    import torch

    check_features(samples, reference)
    blocks = KernelBlocks(samples, reference)
    return float(blocks.distances(torch.ones(1, len(samples), dtype=torch.float64))[0])


class KernelBlocks:
    """The kernel's values between samples [n, d] and a reference [m, d], from which any resample's distance follows."""

    def __init__(self, samples: Tensor, reference: Tensor) -> None:
        self.inner = cubic_kernel(samples, samples)
        self.inner.fill_diagonal_(0)
        self.across = cubic_kernel(samples, reference).mean(1)
        known = cubic_kernel(reference, reference)
        count = len(reference)
        self.known = float(known.sum() - known.diagonal().sum()) / (count * (count - 1))

    def distances(self, weights: Tensor) -> Tensor:
        """[r] distances for r resamples; weights [r, n] say how often each has each sample.

        A sample is never compared with itself, also where a resample has it twice: such pairs, which a fresh sample
        would not have, would push the distance up.
        """
        total = weights.sum(1)
        pairs = total.square() - weights.square().sum(1)
        within = ((weights @ self.inner) * weights).sum(1) / pairs
        return within + self.known - 2 * (weights @ self.across) / total


def cubic_kernel(left: Tensor, right: Tensor) -> Tensor:
    """[n, m] values of (x·y / d + 1)³, in float64."""
    x, y = left.double(), right.double()
    return (x @ y.T / x.shape[1] + 1) ** 3


def standardised(features: Tensor, reference: Tensor) -> Tensor:
    """Features [n, d] with the reference's mean taken off, and in units of its deviations.

    A feature that hardly varies in the reference counts in units of a tenth of the mean deviation instead.
    """
    mean, deviation = reference.mean(0), reference.std(0)
    return (features - mean) / deviation.clamp(min=max(0.1 * float(deviation.mean()), 1e-12))
