"""Fréchet distance of two sets of features, each taken for a Gaussian: FID where the features are a network's.

Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs trained by a two time-scale update rule converge to
a local Nash equilibrium (2017), equation 6; the distance is Dowson and Landau's (1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½) of the features [n, d] and [m, d]; n and m are at least 2.

    With few pictures it is too large, for two samples of one distribution as well: compare with `floor` at the same n.

    The root's trace is the sum of the singular values of A Bᵀ, where C1 = AᵀA and C2 = BᵀB. No covariance is formed
    and no root of an ill-conditioned product is taken, so features that are constant or depend on each other do no
    harm, and nothing has to be added to a diagonal.

    Raises:
        DataError: a set has fewer than 2 rows, or a value is no number.
    """
    check_features(first, second)
    return Moments.of(first).distance(Moments.of(second))


@dataclass(frozen=True, slots=True)
class Moments:
    """A set of features' Gaussian.

    Attributes:
        mean: [d].
        root: [r, d] with rootᵀ root the unbiased covariance.
    """

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Of features [n, d], in float64."""
        import torch

        values = features.double()
        mean = values.mean(0)
        centred = (values - mean) / (len(values) - 1) ** 0.5
        return cls(mean, torch.linalg.qr(centred, mode="r").R if len(values) > values.shape[1] else centred)

    def distance(self, other: Moments) -> float:
        """The Fréchet distance, see `frechet_distance`."""
        import torch

        overlap = torch.linalg.svdvals(self.root @ other.root.T).sum()
        spread = self.root.square().sum() + other.root.square().sum()
        return max(float((self.mean - other.mean).square().sum() + spread - 2 * overlap), 0.0)


def check_features(*sets: Tensor) -> None:
    """Refuse sets [n, d] that no distance can be taken of. Raises DataError."""
    from generators.errors import DataError

    for found in sets:
        if len(found) < 2:
            cause = f"a distribution cannot be told from {len(found)} picture(s)"
            raise DataError("measuring pictures", cause, "Draw more samples, or hold out more pictures")
        if not bool(found.isfinite().all()):
            raise DataError("measuring pictures", "a picture holds values that are no numbers", "Train it anew")
