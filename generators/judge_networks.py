"""The two networks that judge pictures: a small convolutional one and a mixer, each with a layer of features.

Sources: Tolstikhin et al., MLP-Mixer: an all-MLP architecture for vision (2021), for the second.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, silu

SIDE = 8
"""Patches a side that the mixer sees, whatever the picture's size."""


class JudgeNetwork(nn.Module):
    """A trunk from pictures [n, c, h, w] to features [n, d], and a linear head to scores [n, k]."""

    def __init__(self, trunk: nn.Module, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.trunk, self.dropout, self.head = trunk, nn.Dropout(dropout), nn.Linear(features, classes)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        """[n, k] scores before the softmax."""
        scores: Tensor = self.head(self.dropout(self.trunk(images)))
        return scores


def convolutional(channels: int, size: int, width: int, features: int, dropout: float) -> nn.Module:
    """Convolutions of 3x3 with batch norm; pictures are halved until 4 to 7 pixels a side are left."""
    layers = [*_convolution(channels, width)]
    side, planes = size, width
    while side >= 8:
        wider = min(2 * planes, 4 * width)
        layers += [nn.AvgPool2d(2), *_convolution(planes, wider)]
        side, planes = side // 2, wider
    layers += [*_convolution(planes, planes), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(4 * planes, features), nn.SiLU())


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()


class Mixer(nn.Module):
    """8x8 patches, mixed across places and across channels in turn; quarters of the picture are then averaged."""

    def __init__(self, channels: int, size: int, width: int, features: int, dropout: float, depth: int = 3) -> None:
        super().__init__()
        self.patch = max(size // SIDE, 1)
        self.embed = nn.Conv2d(channels, width, self.patch, self.patch)
        self.blocks = nn.ModuleList(MixerBlock(SIDE * SIDE, width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.dropout, self.features = nn.Dropout(dropout), nn.Linear(4 * width, features)

    def forward(self, images: Tensor) -> Tensor:
        """[n, features] of pictures [n, c, h, w]; a size that is no multiple of 8 is first brought to one."""
        side = self.patch * SIDE
        if images.shape[-1] != side:
            images = interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        planes = self.norm(tokens).transpose(1, 2).unflatten(2, (SIDE, SIDE))
        found: Tensor = silu(self.features(self.dropout(adaptive_avg_pool2d(planes, 2).flatten(1))))
        return found


class MixerBlock(nn.Module):
    """One round of mixing: tokens [n, t, d], each half with a residual connection."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.places_norm, self.channels_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.places = nn.Sequential(nn.Linear(tokens, tokens // 2), nn.GELU(), nn.Linear(tokens // 2, tokens))
        self.channels = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, t, d] of [n, t, d]."""
        tokens = tokens + self.places(self.places_norm(tokens).transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = tokens + self.channels(self.channels_norm(tokens))
        return mixed


def build(kind: str, channels: int, size: int, classes: int, width: int, features: int, dropout: float) -> JudgeNetwork:
    """A network of kind `convolutional` or `mixer`; weights are drawn from torch's global generator."""
    maker = Mixer if kind == "mixer" else convolutional
    return JudgeNetwork(maker(channels, size, width, features, dropout), features, classes, dropout)


def warped(images: Tensor, turn: float, stretch: float, shift: float, generator: torch.Generator) -> Tensor:
    """Each picture turned by up to `turn` radians, stretched and sheared by up to a share `stretch`, and shifted by up
    to a share `shift` of half its side; the border is continued.
    """
    from torch.nn.functional import affine_grid, grid_sample

    angle, across, down, shear, right, below = (torch.rand(6, len(images), generator=generator) * 2 - 1).unbind()
    angle, across, down, shear = angle * turn, 1 + across * stretch, 1 + down * stretch, shear * stretch
    rows = (
        torch.stack([angle.cos() * across, shear - angle.sin() * down, right * shift], 1),
        torch.stack([angle.sin() * across, angle.cos() * down, below * shift], 1),
    )
    grid = affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
