"""Pictures (PNG, JPEG, TIFF, WebP, BMP), decoded with Pillow. They have no text of their own: `rag.load.ocr` reads it.

A picture's claimed size is looked at before anything is decoded, so that one that would unpack to gigabytes is refused.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rag.errors import DamagedDocument, DocumentLimit
from rag.load.formats import Parsed
from rag.load.ocr import PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
DECODED = 100_000_000
"""Most pixels that are decoded; what has more than `ocr.PIXELS` is made smaller."""
FRAMES = 1000
_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    struct.error,
)
"""What Pillow raises on broken files."""
SMALL = 1000
"""A picture with fewer pixels on its longer side is drawn twice as large: Tesseract wants letters of 20 pixels."""


def parse(data: bytes) -> Parsed:
    """One empty page for each picture in the file: of a TIFF all, of an animation the first."""
    with _opened(data) as image:
        frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        if frames > FRAMES:
            raise DocumentLimit("loading", f"it holds more than {FRAMES} pictures", "Split it")
        return Parsed(("",) * frames)


def picture(data: bytes, page: int) -> tuple[dict[str, Any], bytes]:
    """Picture `page`, from 1, upright, in grey on white, as binary PGM of at most `ocr.PIXELS` pixels."""
    from PIL import ImageOps

    with _opened(data) as image:
        image.seek(page - 1)
        _check_size(image)
        image.load()
        upright = ImageOps.exif_transpose(image)
        grey = _on_white(upright).convert("L")
        return {}, to_pgm(_fitted(grey))


@contextmanager
def _opened(data: bytes) -> Iterator[Image]:
    """Pillow's image; raises DamagedDocument or DocumentLimit, also for what happens in the body of the `with`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of oddities of the file
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                yield image
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except (UnidentifiedImageError, *_FAULTS) as error:
        cause = f"its picture cannot be decoded ({type(error).__name__})"
        raise DamagedDocument("loading", cause, "Save it again") from error


def _check_size(image: Image) -> None:
    if image.width * image.height > DECODED:
        raise _too_large()


def _too_large() -> DocumentLimit:
    return DocumentLimit("loading", f"its picture has more than {DECODED // 1_000_000} million pixels", "Scale it down")


def _on_white(image: Image) -> Image:
    """Without transparency, which would be black."""
    from PIL import Image

    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    coloured = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)


def _fitted(grey: Image) -> Image:
    """Large ones smaller, small ones twice as large."""
    width, height = grey.size
    scale = 2.0 if max(width, height) < SMALL else min(1.0, (PIXELS / (width * height)) ** 0.5)
    if scale == 1.0:
        return grey
    return grey.resize((max(1, int(width * scale)), max(1, int(height * scale))))


def to_pgm(grey: Image) -> bytes:
    """A picture of mode L as binary PGM."""
    return b"P5\n%d %d\n255\n" % grey.size + grey.tobytes()
