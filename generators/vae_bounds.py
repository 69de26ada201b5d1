"""The evidence lower bound and its kin, as functions of a posterior's moments and of log-likelihoods; all in nats.

The posterior is a diagonal Gaussian with mean m and log-variance v, the prior a standard one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """m + exp(v / 2) e, which carries gradients to both (Kingma and Welling 2013, equation 10). Shapes broadcast."""
    return mean + (log_variance / 2).exp() * noise


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(m, e^v) || N(0, 1)) of each dimension (Kingma and Welling 2013, appendix B); the shape of `mean`."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def free_kl(kl: Tensor, free_nats: float) -> Tensor:
    """The sum over dimensions of max(free_nats, mean over the batch), a scalar: what a dimension may tell for nothing.

    Kingma et al. 2016 (Improving variational inference with inverse autoregressive flow), equation 15.

    Args:
        kl: [n, latent] nats.
        free_nats: of each dimension.
    """
    return kl.mean(0).clamp(min=free_nats).sum()


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; m, e^v), summed over the last dimension."""
    squares = (z - mean).square() / log_variance.exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


def importance_weighted(log_weights: Tensor) -> Tensor:
    """log of the mean of k weights p(x, z) / q(z | x): a bound that tightens with k (Burda et al. 2015, equation 8).

    Args:
        log_weights: [k, n].

    Returns:
        [n]; for k = 1 a sample of the ELBO.
    """
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """How many dimensions' posterior means vary over the pictures by more than `threshold` (Burda et al. 2015, 5.1).

    Args:
        means: [n, latent].
    """
    return int((means.var(0) > threshold).sum())
