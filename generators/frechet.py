"""Fréchet distance of two sets of features, each taken for a Gaussian: FID where the features are a network's.

Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs trained by a two time-scale update rule converge to
a local Nash equilibrium (2017), equation 6; the distance is Dowson and Landau's (1982).
"""

from __future__ import annotations

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
    import torch

    check_features(first, second)
    mean_1, root_1 = _moments(first)
    mean_2, root_2 = _moments(second)
    overlap = torch.linalg.svdvals(root_1 @ root_2.T).sum()
    spread = root_1.square().sum() + root_2.square().sum()
    return max(float((mean_1 - mean_2).square().sum() + spread - 2 * overlap), 0.0)


def check_features(*sets: Tensor) -> None:
    """Refuse sets [n, d] that no distance can be taken of. Raises DataError."""
    from generators.errors import DataError

    for found in sets:
        if len(found) < 2:
            cause = f"a distribution cannot be told from {len(found)} picture(s)"
            raise DataError("measuring pictures", cause, "Draw more samples, or hold out more pictures")
        if not bool(found.isfinite().all()):
            raise DataError("measuring pictures", "a picture holds values that are no numbers", "Train it anew")


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [d], and a matrix [min(n, d), d] whose product with itself is the unbiased covariance."""
    import torch

    values = features.double()
    mean = values.mean(0)
    centred = (values - mean) / (len(values) - 1) ** 0.5
    return mean, torch.linalg.qr(centred, mode="r").R if len(values) > values.shape[1] else centred
