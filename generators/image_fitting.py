"""A decoded picture brought to the form that is trained on: eight bits, no transparency, a square of one size.

The middle square is cut out. A square whose side divides the wanted size is enlarged by repeating pixels, which keeps
pixel art sharp; everything else is resized by Lanczos' filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from generators.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Look:
    """What every picture is brought to.

    Attributes:
        size: pixels a side.
        channels: 1 for grey (ITU-R 601 luma), 3 for colour.
        background: what shows where a picture is transparent.
    """

    size: int
    channels: Literal[1, 3] = 3
    background: Literal["white", "black"] = "white"


def fit(image: Image.Image, look: Look, name: str) -> NDArray[np.uint8]:
    """[channels, size, size]. Raises ImageError, naming the picture, for values whose range is unknown."""
    import numpy as np

    square = resized(opaque(eight_bits(middle_square(image), name), look.background), look.size)
    values = np.asarray(square.convert("L" if look.channels == 1 else "RGB"), dtype=np.uint8)
    return values[None] if look.channels == 1 else np.ascontiguousarray(values.transpose(2, 0, 1))


def middle_square(image: Image.Image) -> Image.Image:
    """The largest square around the centre."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image if width == height else image.crop((left, top, left + side, top + side))


def eight_bits(image: Image.Image, name: str) -> Image.Image:
    """16-bit grey by its upper byte's worth (Pillow's own conversion would clip at 255).

    Raises ImageError for 32-bit integers and floats, of which nothing says what white is.
    """
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) / 257 + 0.5).astype(np.uint8))
    if image.mode in ("I", "F"):
        cause = f"{name} has 32-bit values ({image.mode}), and nothing says which of them is white"
        raise ImageError("reading a picture", cause, "Save it with 8 or 16 bits")
    return image


def opaque(image: Image.Image, background: str) -> Image.Image:
    """Grey or colour without transparency; what is transparent shows the background."""
    from PIL import Image

    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    layers = image.convert("RGBA")
    ground = Image.new("RGB", layers.size, background)
    ground.paste(layers, mask=layers.getchannel("A"))
    return ground


def resized(square: Image.Image, size: int) -> Image.Image:
    """The square at size x size."""
    from PIL import Image

    if square.width == size:
        return square
    if size % square.width == 0:
        return square.resize((size, size), Image.Resampling.NEAREST)
    return square.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
