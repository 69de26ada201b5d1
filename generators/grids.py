"""Pictures side by side in one PNG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from generators.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 48
"""Pixels a side that a small picture is enlarged to, at least."""
GAP = 2
PAPER = 128


def save_grid(images: Tensor, path: str | Path, columns: int | None = None) -> Path:
    """Write pictures as one PNG, row by row; small ones are enlarged by nearest neighbour, whole times.

    Args:
        images: [n, channels, height, width] in [-1, 1], channels 1 or 3; what lies outside is clipped, what is no
            number is shown as black.
        columns: a row; about as many as rows where it is not given.

    Raises:
        ImageError: these are no pictures. OSError: the file cannot be written.
    """
    import io

    from PIL import Image

    pixels = grid_pixels(images, columns)
    shown = Image.fromarray(pixels.squeeze(-1).numpy() if pixels.shape[-1] == 1 else pixels.numpy())
    written = io.BytesIO()
    shown.save(written, format="PNG")
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name("." + place.name)
    aside.write_bytes(written.getvalue())
    aside.replace(place)
    return place


def grid_pixels(images: Tensor, columns: int | None = None) -> Tensor:
    """The grid as [height, width, channels] uint8. Raises ImageError as `save_grid`."""
    import torch

    from generators.pictures import as_bytes

    if images.ndim != 4 or not len(images) or images.shape[1] not in (1, 3):
        cause = f"a grid is made of pictures [n, 1 or 3, height, width], not of {list(images.shape)}"
        raise ImageError("making a grid", cause, "Give at least one picture")
    count, channels, height, width = images.shape
    across = min(count, columns or math.ceil(math.sqrt(count)))
    down = math.ceil(count / across)
    times = max(1, math.ceil(SHOWN / max(height, width)))
    big = as_bytes(images.detach().cpu().nan_to_num(-1)).repeat_interleave(times, 2).repeat_interleave(times, 3)
    high, wide = height * times, width * times
    sheet = torch.full((channels, down * (high + GAP) + GAP, across * (wide + GAP) + GAP), PAPER, dtype=torch.uint8)
    for number, image in enumerate(big):
        top, left = GAP + number // across * (high + GAP), GAP + number % across * (wide + GAP)
        sheet[:, top : top + high, left : left + wide] = image
    return sheet.permute(1, 2, 0).contiguous()
