"""How likely a picture is under a decoder's output: Bernoulli pixels, or Gaussian ones of one width, in nats.

Both are fully normalised: the Gaussian has its constant, and is a density on [0, 1] in which 256 grey values are made
continuous by uniform noise one grey value wide (Theis et al. 2016, A note on the evaluation of generative models, 3.1),
so that it bounds the logarithm of the probability of the grey values from below, once `GREY_VALUES` is accounted for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

GREY_VALUES = 256


def bernoulli_log_likelihood(logits: Tensor, pixels: Tensor) -> Tensor:
    """Sum over pixels of x log p + (1 - x) log(1 - p), p = sigmoid(logits), in nats (Kingma and Welling 2013, C.1).

    For grey pixels in between this is the usual cross-entropy, at most minus the entropy of the grey values
    (`grey_entropy`), and no probability of the picture; of binary pixels it is one.

    Args:
        logits, pixels: [..., channels, size, size]; pixels in [0, 1].

    Returns:
        [...], of what both broadcast to.
    """
    return (pixels * logits - softplus(logits)).flatten(-3).sum(-1)


def gaussian_log_likelihood(mean: Tensor, log_sigma: Tensor, pixels: Tensor) -> Tensor:
    """Sum over pixels of log N(x; mean, sigma^2), with its constant, in nats (Kingma and Welling 2013, C.2).

    Args:
        mean, pixels: [..., channels, size, size], pixels in [0, 1].
        log_sigma: scalar; learned, it ends at the root of the mean squared error (Rybkin et al. 2021, equation 5).

    Returns:
        [...], of what both broadcast to.
    """
    squares = ((pixels - mean) / log_sigma.exp()).square()
    return -(0.5 * squares + log_sigma + 0.5 * math.log(2 * math.pi)).flatten(-3).sum(-1)


def dequantised(pixels: Tensor, noise: Tensor) -> Tensor:
    """Pixels k/255 moved to where k, spread uniformly over [k, k+1), lies in [0, 1): (255 x + noise) / 256.

    Args:
        pixels: [...] in [0, 1].
        noise: [...] uniform in [0, 1).
    """
    return (pixels * (GREY_VALUES - 1) + noise) / GREY_VALUES


def grey_entropy(pixels: Tensor) -> Tensor:
    """The least Bernoulli cross-entropy that grey pixels [n, channels, size, size] in [0, 1] allow, [n] nats."""
    negative: Tensor = torch.special.xlogy(pixels, pixels) + torch.special.xlogy(1 - pixels, 1 - pixels)
    return -negative.flatten(1).sum(1)


def bits_per_dimension(bound: float, dimensions: int) -> float:
    """Bits a grey value from a bound in nats on minus the log-density of dequantised pixels in [0, 1)."""
    return bound / dimensions / math.log(2) + math.log2(GREY_VALUES)
