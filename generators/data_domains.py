"""Second domains made from the pictures themselves, for translation: `outline` and `colour`.

| targets | input (`images`) | target (`targets`) |
|---|---|---|
| outline | the outlines of the pictures | the pictures |
| colour | the pictures in grey | the pictures in their colours; grey ones are tinted |
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from generators.data_entries import STEP
from generators.errors import DataError
from generators.pictures import Pictures

if TYPE_CHECKING:
    from torch import Tensor

DOMAINS = ("outline", "colour")
GROUND, INK = (24, 32, 96), (255, 176, 48)
"""What black and white become where grey pictures are tinted: dark blue and orange, red, green and blue in bytes."""


def with_domain(pictures: Pictures, domain: str) -> Pictures:
    """The pictures with a paired second domain made of them.

    Raises:
        DataError: `colour` was asked for with one channel.
    """
    if domain == "outline":
        return replace(pictures, images=outlines(pictures.images), targets=pictures.images)
    if pictures.channels != 3:
        raise DataError(STEP, "targets: colour makes colours, and channels is 1", "Set data.channels: 3")
    grey = luma(pictures.images).expand(-1, 3, -1, -1).contiguous()
    in_colour = bool((pictures.images != pictures.images[:, :1]).any())
    return replace(pictures, images=grey, targets=pictures.images if in_colour else tinted(grey))


def outlines(images: Tensor) -> Tensor:
    """[n, c, size, size] uint8 -> the same: the external morphological gradient, dilation by 3 x 3 less the picture.

    A filled stroke becomes the line around it (of bright things on dark ground; of dark ones, the line within).
    Source: J.-F. Rivest, P. Soille and S. Beucher, Morphological gradients, J. Electronic Imaging 2(4), 1993.
    """
    import torch
    from torch.nn.functional import max_pool2d

    values = images.float()
    return (max_pool2d(values, 3, stride=1, padding=1) - values).to(torch.uint8)


def luma(images: Tensor) -> Tensor:
    """[n, 3, size, size] uint8 -> [n, 1, size, size]: ITU-R 601, as Pillow's grey."""
    import torch

    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True).round().clamp(0, 255).to(torch.uint8)


def tinted(grey: Tensor) -> Tensor:
    """[n, 3, size, size] uint8, grey -> the same, on the line from `GROUND` to `INK`: one fixed map, so that it can be
    learned from two sets without pairs, too.
    """
    import torch

    low, high = (torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1) for colour in (GROUND, INK))
    return (low + (high - low) * grey.float() / 255).round().to(torch.uint8)


def binary(images: Tensor) -> Tensor:
    """uint8 values as 0 or 255, parted at one half."""
    import torch

    return (images >= 128).to(torch.uint8) * 255
