"""What a picture looks like on the way: its latents, made small and decoded; a fraction of what the picture costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

PREVIEW_SIDE = 16
"""Latents of the longer side that are decoded: a sixteenth of the work for 64 of them (512 pixels)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of sampling, as `on_step` is told of it.

    Attributes:
        number: of the steps done, from 1.
        steps: in all, for this batch.
        picture: the first picture of the batch, from 0.
        preview: decodes a small preview of that picture when called, and only inside `on_step`.
    """

    number: int
    steps: int
    picture: int
    preview: Callable[[], Image.Image] = field(repr=False)


def decode_preview(pipeline: Any, latents: Tensor, width: int, height: int) -> Image.Image:
    """The first picture of `latents` [n, channels, h, w], or packed [n, h w / 4, 4 channels] as Flux has them."""
    import torch
    from torch.nn.functional import interpolate

    first = latents[:1]
    if first.ndim == 3:
        first = pipeline._unpack_latents(first, height, width, pipeline.vae_scale_factor)
    longer = max(first.shape[-2:])
    if longer > PREVIEW_SIDE:
        small = [max(side * PREVIEW_SIDE // longer, 1) for side in first.shape[-2:]]
        first = interpolate(first.float(), size=small, mode="area")
    config = pipeline.vae.config
    z = first / config.scaling_factor + (getattr(config, "shift_factor", None) or 0)
    with torch.no_grad():
        decoded = pipeline.vae.decode(z.to(pipeline.vae.dtype), return_dict=False)[0]
    return to_pillow(decoded[0].float().nan_to_num() / 2 + 0.5)


def to_pillow(image: Tensor) -> Image.Image:
    """[3 or 1, height, width] in [0, 1] as a picture, rounded as diffusers rounds."""
    import torch
    from PIL import Image

    values = (image.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = values.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
