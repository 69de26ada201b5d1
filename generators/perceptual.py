"""Perceptual distances that need no pretrained network, for autoencoders: what L1 alone blurs, these weigh.

`pyramid`: L1 between the bands of two Laplacian pyramids, so that an edge counts at the scale it lives at
(Bojanowski et al. 2018, Optimizing the Latent Space of Generative Networks, section 3.2; Ling and Okada 2006).
`random`: distance between the channel-normalised features of a seeded, untrained convolutional network, in the form
of LPIPS (Zhang et al. 2018, equation 1) whose own table shows how far untrained features go.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def laplacian_pyramid(images: Tensor, levels: int = 3) -> list[Tensor]:
    """The bands of [n, channels, h, w] pictures, finest first, the last one the coarse rest.

    Each band is what 2 x 2 averaging and bilinear enlarging loses; together they add up to the picture. A level that
    would be smaller than 2 pixels is left out.
    """
    bands = []
    for _ in range(levels):
        if min(images.shape[-2:]) < 4:
            break
        coarse = functional.avg_pool2d(images, 2)
        back = functional.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
        bands.append(images - back)
        images = coarse
    return [*bands, images]


def pyramid_distance(made: Tensor, real: Tensor, levels: int = 3) -> Tensor:
    """Scalar: the sum over bands of the mean absolute difference; 0 for equal pictures [n, channels, h, w]."""
    pairs = zip(laplacian_pyramid(made, levels), laplacian_pyramid(real, levels), strict=True)
    return torch.stack([(one - other).abs().mean() for one, other in pairs]).sum()


class RandomFeatures(nn.Module):
    """Three strided convolutions with orthogonal weights drawn from a seed of their own, never trained.

    Args:
        channels: of the pictures.
        width: features of the first layer; each next has twice as many.
        seed: of the weights; torch's global generator is left alone.
    """

    weights: list[Tensor]

    def __init__(self, channels: int, width: int = 16, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = [channels, width, 2 * width, 4 * width]
        for number, (before, after) in enumerate(pairwise(sizes)):
            weight = nn.init.orthogonal_(torch.empty(after, before, 3, 3), gain=2**0.5, generator=generator)
            self.register_buffer(f"weight_{number}", weight, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of [n, channels, h, w] pictures by layer, each of unit length over its channels."""
        found = []
        for number in range(3):
            weight = self.get_buffer(f"weight_{number}")
            images = functional.relu(functional.conv2d(images, weight, stride=1 if number == 0 else 2, padding=1))
            found.append(functional.normalize(images, dim=1, eps=1e-6))
        return found

    def distance(self, made: Tensor, real: Tensor) -> Tensor:
        """Scalar: squared distances of the normalised features, summed over layers and meant over places."""
        pairs = zip(self(made), self(real), strict=True)
        return torch.stack([(one - other).square().sum(1).mean() for one, other in pairs]).sum()
