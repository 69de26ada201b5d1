"""How a class enters a GAN: in the generator by class-conditional batch norm, in the discriminator by projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from generators.gan_blocks import MOMENTUM, initialise
from generators.gan_residual import ResidualTrunk
from generators.model import DataShape


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias are linear functions of a condition [n, size]; at first 1 and 0 for all.

    Source: de Vries et al. 2017; in a generator, with class embedding and latent as the condition, Brock et al. 2018,
    appendix B.
    """

    def __init__(self, features: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=False, momentum=MOMENTUM)
        self.gain = nn.Linear(condition, features, bias=False)
        self.bias = nn.Linear(condition, features, bias=False)
        nn.init.normal_(self.gain.weight, 0, 0.02)
        nn.init.normal_(self.bias.weight, 0, 0.02)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [n, features, h, w], normalised, then scaled and moved by each picture's own condition."""
        gain, bias = self.gain(condition), self.bias(condition)
        moved: Tensor = self.norm(x) * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
        return moved


class UpBlock(nn.Module):
    """[n, features, h, w] -> [n, features / 2, 2h, 2w]: norm, ReLU, convolution, and a projected copy added."""

    def __init__(self, features: int, condition: int) -> None:
        super().__init__()
        self.norm = ConditionalBatchNorm(features, condition)
        self.main = nn.ConvTranspose2d(features, features // 2, 4, 2, 1)
        self.skip = nn.Conv2d(features, features // 2, 1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """The sum of both ways, at twice the side."""
        main: Tensor = self.main(relu(self.norm(x, condition)))
        return main + interpolate(self.skip(x), scale_factor=2.0, mode="nearest")


class ConditionalGenerator(nn.Module):
    """Latents [n, latent] and labels [n] -> pictures in (-1, 1). The condition of every norm is [class embedding, z].

    Source: Brock et al. 2018, appendix B, figure 15; without attention.
    """

    def __init__(self, latent: int, width: int, depth: int, embedding: int, shape: DataShape) -> None:
        super().__init__()
        side, features, condition = shape.size >> depth, width << depth - 1, embedding + latent
        self.embedding = nn.Embedding(shape.classes, embedding)
        self.first = nn.Linear(condition, features * side * side)
        self.unflatten = nn.Unflatten(1, (features, side, side))
        self.blocks = nn.ModuleList(UpBlock(features >> i, condition) for i in range(depth - 1))
        self.norm = ConditionalBatchNorm(width, condition)
        self.last = nn.ConvTranspose2d(width, shape.channels, 4, 2, 1)
        for layer in (self.first, self.blocks, self.last):
            initialise(layer)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Pictures of latents, each of its class."""
        condition = torch.cat([self.embedding(labels), z], 1)
        x = self.unflatten(self.first(condition))
        for block in self.blocks:
            x = block(x, condition)
        pictures: Tensor = self.last(relu(self.norm(x, condition))).tanh()
        return pictures


class ProjectionDiscriminator(nn.Module):
    """Pictures and labels -> scores [n]: psi(phi(x)) + <v_y, phi(x)>, with a vector v_y for each class.

    Source: Miyato and Koyama 2018, cGANs with Projection Discriminator, equation 3.
    """

    def __init__(self, width: int, depth: int, shape: DataShape, spectral: bool = True) -> None:
        super().__init__()
        from torch.nn.utils.parametrizations import spectral_norm

        self.trunk = ResidualTrunk(width, depth, shape, spectral)
        self.score: nn.Module = nn.Linear(self.trunk.features, 1)
        self.classes: nn.Module = nn.Embedding(shape.classes, self.trunk.features)
        if spectral:
            self.score, self.classes = spectral_norm(self.score), spectral_norm(self.classes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """How real each picture looks as one of its class."""
        seen = self.trunk(images)
        scores: Tensor = self.score(seen)[:, 0] + (self.classes(labels) * seen).sum(1)
        return scores
