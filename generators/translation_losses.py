"""Losses and distances of translation, as functions of logits and pictures."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

Adversarial = Literal["logistic", "squares"]


def realness(logits: Tensor, real: bool, way: Adversarial) -> Tensor:
    """How far logits are from calling pictures real, or not: the mean over patches, a scalar.

    `logistic`: cross-entropy in nats (Goodfellow et al. 2014; the generator's is the non-saturating one).
    `squares`: (logit - 1)^2 or logit^2 (Mao et al. 2017, equation 9, with a=0, b=c=1).
    """
    if way == "logistic":
        return softplus(-logits if real else logits).mean()
    return (logits - 1 if real else logits).square().mean()


def discriminator_loss(real: Tensor, fake: Tensor, way: Adversarial) -> Tensor:
    """Half the sum of both, which slows the discriminator (Isola et al. 2017, 3.3; Zhu et al. 2017, 4)."""
    return (realness(real, True, way) + realness(fake, False, way)) / 2


def mean_absolute(a: Tensor, b: Tensor) -> Tensor:
    """Mean |a - b| over all pixels, in [-1, 1]'s units, a scalar: the L1 of both papers' losses."""
    return (a - b).abs().mean()


def l1_share(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference as a share of the range from black to white, in [0, 1]: what figures are given in."""
    return float(mean_absolute(a, b)) / 2
