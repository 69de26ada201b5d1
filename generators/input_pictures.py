"""Pictures to start from, and masks: read safely and brought to the size that is drawn."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from generators.errors import ImageError
from generators.settings import generator_settings

if TYPE_CHECKING:
    from PIL import Image

STEP = "reading a picture"
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")


def open_picture(given: Image.Image | str | Path, mode: Literal["RGB", "L"] = "RGB") -> Image.Image:
    """A picture in memory or a file's, turned as its camera says, in `mode` (L: a mask, or a grey picture).

    Transparent parts become white. Raises ImageError, which names the file.
    """
    from PIL import Image, ImageOps

    name = "the picture" if isinstance(given, Image.Image) else str(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures; the size is judged here
        try:
            found = given if isinstance(given, Image.Image) else Image.open(given, formats=FORMATS)
            limit = generator_settings().max_pixels
            if found.width * found.height > limit:
                cause = f"{name} has {found.width} x {found.height} pixels, more than {limit:,}"
                raise ImageError(STEP, cause, "Make it smaller, or raise max_pixels in the settings' [generators]")
            upright = ImageOps.exif_transpose(found)
            if upright.has_transparency_data:
                layer = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return upright.convert(mode)
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ImageError(STEP, f"{name} cannot be read: {str(error)[:200]}", "Give a sound picture") from error


def fit_picture(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture at this size: cut to its shape from the middle, then resized."""
    from PIL import Image, ImageOps

    if picture.size == (width, height):
        return picture
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def picture_digest(picture: Image.Image) -> str:
    """SHA-256 of a picture's size, mode and pixels, in hexadecimal."""
    head = f"{picture.mode} {picture.width} {picture.height}\n".encode()
    return hashlib.sha256(head + picture.tobytes()).hexdigest()
