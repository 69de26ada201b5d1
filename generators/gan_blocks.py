"""The convolutional networks that DCGAN and WGAN-GP share, and the parts they are made of."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, unfold
from torch.nn.utils.parametrizations import spectral_norm

from generators.model import DataShape

Norm = Literal["batch", "layer", "none"]
Initial = Literal["normal", "he"]
MOMENTUM = 0.01
"""Of a generator's running statistics: they are of the last hundred steps, as the averaged weights are."""


class PatchConv(nn.Linear):
    """A convolution 4x4 with stride 2 of few channels, [n, channels, h, w] -> [n, features, h/2, w/2].

    It is a matrix product over patches: on a CPU, backward through the kernel for a single channel takes nine times
    as long.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(16 * channels, features)

    def forward(self, images: Tensor) -> Tensor:
        """The pictures' features."""
        patches = unfold(images, 4, padding=1, stride=2).transpose(1, 2)
        features = super().forward(patches).transpose(1, 2)
        return features.reshape(len(images), -1, images.shape[2] // 2, images.shape[3] // 2)


class PatchConvTranspose(nn.Linear):
    """A transposed convolution 4x4 with stride 2 to few channels, [n, features, h, w] -> [n, channels, 2h, 2w].

    It is a matrix product, whose patches are added up: on a CPU twice as fast as the kernel for a single channel.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__(features, 16 * channels, bias=False)
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """The features' pictures."""
        patches = super().forward(features.flatten(2).transpose(1, 2)).transpose(1, 2)
        side = 2 * features.shape[2], 2 * features.shape[3]
        return fold(patches, side, 4, padding=1, stride=2) + self.shift


class Places(nn.Module):
    """[n, side * side * channels] -> [n, channels, side, side], channels last, as convolutions on a CPU are fastest."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """The numbers at their places."""
        return x.view(len(x), self.side, self.side, -1).permute(0, 3, 1, 2)


class ConvGenerator(nn.Module):
    """[n, latent] -> [n, channels, size, size] in (-1, 1): a projection, then `depth` transposed convolutions.

    Source: Radford et al. 2015, figure 1.
    """

    def __init__(self, latent: int, width: int, depth: int, shape: DataShape, norm: Norm = "batch") -> None:
        super().__init__()
        side, channels = shape.size >> depth, width << (depth - 1)
        layers: list[nn.Module] = [nn.Linear(latent, channels * side * side, bias=False)]
        layers += [Places(side), normalisation(norm, channels, MOMENTUM), nn.ReLU()]
        for _ in range(depth - 1):
            layers += [nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False)]
            channels //= 2
            layers += [normalisation(norm, channels, MOMENTUM), nn.ReLU()]
        layers += [PatchConvTranspose(channels, shape.channels), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Pictures of latents."""
        pictures: Tensor = self.layers(z)
        return pictures


class ConvDiscriminator(nn.Module):
    """[n, channels, size, size] -> scores [n]: `depth` strided convolutions, then one weighted sum.

    `norm` is between the convolutions: batch norm as in Radford et al. 2015; layer norm where each picture must be
    scored on its own, as a gradient penalty needs (Gulrajani et al. 2017, section 4); or none. With `hidden`, a layer
    of as many units comes before the sum, which sees the whole picture; each convolution sees a part.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        shape: DataShape,
        norm: Norm = "batch",
        spectral: bool = False,
        hidden: int = 0,
        initial: Initial = "normal",
    ) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else lambda layer: layer
        layers: list[nn.Module] = [wrap(PatchConv(shape.channels, width)), nn.LeakyReLU(0.2)]
        for _ in range(depth - 1):
            layers += [wrap(nn.Conv2d(width, 2 * width, 4, 2, 1)), normalisation(norm, 2 * width), nn.LeakyReLU(0.2)]
            width *= 2
        layers, features = [*layers, nn.Flatten()], width * (shape.size >> depth) ** 2
        if hidden:
            layers, features = [*layers, wrap(nn.Linear(features, hidden)), nn.LeakyReLU(0.2)], hidden
        self.layers = nn.Sequential(*layers, wrap(nn.Linear(features, 1)))
        (initialise if initial == "normal" else initialise_he)(self)

    def forward(self, images: Tensor) -> Tensor:
        """One score a picture."""
        scores: Tensor = self.layers(images)
        return scores[:, 0]


def normalisation(norm: Norm, channels: int, momentum: float = 0.1) -> nn.Module:
    """The layer of this name; layer norm is over channels and places (one group)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=momentum)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02^2), as in Radford et al. 2015, section 4; batch norm's from N(1, 0.02^2)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1, 0.02)


def initialise_he(network: nn.Module) -> None:
    """Weights that keep the size of what passes through leaky ReLU layers without norms: He et al. 2015, Delving Deep
    into Rectifiers, equations 10 and 12. Radford's are smaller: without norms, scores would hardly differ at first.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, 0.2)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
