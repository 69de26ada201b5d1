"""One picture, decoded safely: what it claims is checked before a pixel is decoded, and every fault names its file.

PNG, JPEG, WebP, GIF, BMP and TIFF alone, by what the bytes say and not by the name's ending. Animated pictures and
files of several pages are refused: which frame was meant, nobody said. Of a telephone's MPO, the main picture is taken.
"""

from __future__ import annotations

import os
import stat
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from generators.errors import ImageError
from generators.image_fitting import Look, fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

STEP = "reading a picture"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MOST_BYTES = 128 * 2**20
"""Of a file. The largest picture that is decoded by default, 64 megapixels, is smaller as JPEG, WebP or PNG."""
MOST_SCANS = 200
"""Of a progressive JPEG, which decodes the whole picture anew for each; cameras and editors write about ten."""
SMALLEST = 4
"""Pixels of the shorter side; below there is no picture to see, and enlarged it would be a blot."""


def decode(data: bytes, name: str, look: Look, max_pixels: int) -> NDArray[np.uint8]:
    """A picture's bytes as [channels, size, size], in at most some 12 bytes of memory a pixel of the original.

    Args:
        data: of the whole file.
        name: what errors call it.
        look: size, channels and background.
        max_pixels: the most that are decoded; the header is asked first.

    Raises:
        ImageError: it is none of the known formats, damaged, animated, too large or too small.
    """
    _check_bytes(data, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures and of odd metadata; both are judged here
        try:
            with _open(data) as image:
                _check_header(image, name, max_pixels)
                return fit(_oriented(image, look), look, name)
        except ImageError:
            raise
        except Exception as error:  # Pillow's decoders raise errors of a dozen kinds on damaged bytes
            raise _damaged(name, error) from error


def read_file(path: Path, name: str) -> bytes:
    """A picture file's bytes. Raises ImageError when it cannot be read, is no plain file, or is too large."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise ImageError(STEP, f"{name} is no plain file", "Remove it")
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ImageError(STEP, f"{name} cannot be read: {error.strerror}", "Mend its permissions") from error


def _open(data: bytes) -> Image.Image:
    from PIL import Image

    return Image.open(BytesIO(data), formats=FORMATS)


def _check_bytes(data: bytes, name: str) -> None:
    if not data:
        raise ImageError(STEP, f"{name} is empty", "Remove it")
    if len(data) > MOST_BYTES:
        raise ImageError(STEP, f"{name} is larger than {MOST_BYTES // 2**20} MiB", "Make it smaller")
    # A compressed stream writes FF as FF 00, so that FF DA in a JPEG is the beginning of a scan, or of a thumbnail's.
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > MOST_SCANS:
        raise ImageError(STEP, f"{name} has more than {MOST_SCANS} scans, as a trap would", "Save it anew")


def _check_header(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        cause = f"{name} has {width} x {height} pixels, more than {max_pixels:,}"
        raise ImageError(STEP, cause, "Make it smaller, or raise max_pixels in the settings' [generators]")
    if min(width, height) < SMALLEST:
        cause = f"{name} has {width} x {height} pixels; a side of fewer than {SMALLEST} shows nothing"
        raise ImageError(STEP, cause, "Remove it")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ImageError(STEP, f"{name} is animated or has several pages", "Save the frame that you mean")


def _oriented(image: Image.Image, look: Look) -> Image.Image:
    """Decoded, and turned as the camera says."""
    from PIL import ImageOps

    # A JPEG can be decoded at a fraction of its size; twice the size that is asked for leaves the resizing its quality.
    image.draft("L" if look.channels == 1 else "RGB", (2 * look.size, 2 * look.size))
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # damaged metadata of a sound picture; it is then shown as it is stored
        return image


def _damaged(name: str, error: Exception) -> ImageError:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        return ImageError(STEP, f"{name} has more pixels than any picture may", "Make it smaller")
    if isinstance(error, UnidentifiedImageError):
        cause = f"{name} is no picture of a known kind ({', '.join(FORMATS)}), or its beginning is damaged"
        return ImageError(STEP, cause, "Remove it, or save it anew")
    said = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
    return ImageError(STEP, f"{name} is damaged: {said}", "Remove it, or save it anew")
