"""Residual blocks that double or halve the side with one strided convolution, and the discriminator made of them.

The blocks of BigGAN and StyleGAN2 have two convolutions 3x3 and a resampling each; one of 4x4 with stride 2 does with
a fifth of the products, which is what a network for a CPU can spend.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, leaky_relu
from torch.nn.utils.parametrizations import spectral_norm

from generators.gan_blocks import PatchConv
from generators.model import DataShape


class DownBlock(nn.Module):
    """[n, features, h, w] -> [n, 2 features, h/2, w/2], added to a pooled, projected copy of the input."""

    def __init__(self, features: int, wrap: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.main = wrap(nn.Conv2d(features, 2 * features, 4, 2, 1))
        self.skip = wrap(nn.Conv2d(features, 2 * features, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways, at half the side."""
        main: Tensor = self.main(leaky_relu(x, 0.2))
        skipped: Tensor = self.skip(avg_pool2d(x, 2))
        return (main + skipped) / 2**0.5


class ResidualTrunk(nn.Module):
    """[n, channels, size, size] -> features [n, `features`]: what a discriminator sees in a picture.

    With `deviation`, the batch's own spread is one feature map more at the end, so that pictures that are all alike
    give themselves away: Karras et al. 2018, Progressive Growing of GANs, section 3.
    """

    def __init__(
        self, width: int, depth: int, shape: DataShape, spectral: bool = False, deviation: bool = False
    ) -> None:
        super().__init__()
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if spectral else lambda layer: layer
        self.first = wrap(PatchConv(shape.channels, width))
        self.blocks = nn.Sequential(*(DownBlock(width << i, wrap) for i in range(depth - 1)))
        self.deviation, side = deviation, shape.size >> depth
        self.features = width << (depth - 1)
        places = ((self.features + deviation) * side * side, self.features)
        self.last = wrap(nn.Linear(*places))

    def forward(self, images: Tensor) -> Tensor:
        """The features, of which a score is a weighted sum."""
        x = self.blocks(self.first(images))
        if self.deviation:
            x = torch.cat([x, spread(x).expand(len(x), 1, *x.shape[2:])], 1)
        return leaky_relu(self.last(leaky_relu(x, 0.2).flatten(1)), 0.2)


def spread(x: Tensor) -> Tensor:
    """[1, 1, 1, 1]: the mean over features and places of their standard deviation over the batch."""
    return (x.var(0, unbiased=False) + 1e-8).sqrt().mean().view(1, 1, 1, 1)
