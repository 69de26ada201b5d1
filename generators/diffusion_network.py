"""The network of the diffusion families: diffusers' U-Net on patches of pixels, told the time and the class.

Patches are a space-to-depth rearrangement before the U-Net and its inverse after it (Hoogeboom et al., "Simple
diffusion", 2023, section 3.3): noise stays independent and the loss is the same, but a convolution has `patch`^2 times
fewer places to visit, which on a CPU is worth more than a finer grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from decoder.errors import RecipeError
from generators.model import DataShape


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """How large the U-Net is.

    Attributes:
        channels: of each resolution, the finest first; each further one halves the side.
        layers: residual blocks a resolution.
        attention: also attend over all places at the coarsest resolution (the middle block).
        patch: pixels a side that become one place with patch^2 times the channels; 1 means none.
        dropout: in residual blocks.
        groups: of the group normalisation; must divide every entry of `channels`.
    """

    channels: tuple[int, ...] = (32, 64)
    layers: int = 1
    attention: bool = False
    patch: int = 1
    dropout: float = 0.0
    groups: int = 8


class PatchedUNet(nn.Module):
    """x [n, c, s, s] at times [n] and labels [n] -> a picture-shaped prediction [n, c, s, s].

    Labels run over `classes` + 1 values: the last, `no_label`, stands for none. Without classes labels are ignored.
    """

    def __init__(self, config: UNetConfig, shape: DataShape, classes: int) -> None:
        super().__init__()
        check_size(config, shape)
        depth, places = len(config.channels), shape.channels * config.patch**2
        self.patch, self.no_label, self.labelled = config.patch, classes, classes > 0
        self.unet: Any = UNet2DModel(  # type: ignore[no-untyped-call]
            sample_size=shape.size // config.patch,
            in_channels=places,
            out_channels=places,
            down_block_types=("DownBlock2D",) * depth,
            up_block_types=("UpBlock2D",) * depth,
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            norm_num_groups=config.groups,
            dropout=config.dropout,
            add_attention=config.attention,
            num_class_embeds=classes + 1 if classes else None,
        )

    def forward(self, noisy: Tensor, times: Tensor, labels: Tensor | None = None) -> Tensor:
        """`times` are the training's steps, [n] or a scalar; labels of None mean `no_label` for all."""
        if self.labelled and labels is None:
            labels = torch.full((len(noisy),), self.no_label, device=noisy.device)
        inner = pixel_unshuffle(noisy, self.patch) if self.patch > 1 else noisy
        found: Tensor = self.unet(inner, times, labels if self.labelled else None, return_dict=False)[0]
        return pixel_shuffle(found, self.patch) if self.patch > 1 else found


def check_size(config: UNetConfig, shape: DataShape) -> None:
    """Refuse a network that does not fit the pictures, before it is made. Raises RecipeError."""
    step = config.patch * 2 ** (len(config.channels) - 1)
    if not config.channels or config.patch < 1 or shape.size % step:
        cause = f"pictures of {shape.size} pixels cannot be cut into patches of {config.patch} and halved "
        cause += f"{len(config.channels) - 1} times"
        raise RecipeError("building the U-Net", cause, f"Set data.size to a multiple of {step}, or fewer channels")
    unfit = [c for c in config.channels if c % config.groups]
    if unfit:
        cause = f"model.groups {config.groups} does not divide model.channels {unfit[0]}"
        raise RecipeError("building the U-Net", cause, "Use multiples of it")
