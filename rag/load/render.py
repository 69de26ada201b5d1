"""Pages of a PDF as pictures: for people, and for the recognition of text. Runs in the parsing process."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag.errors import DamagedDocument
from rag.load.image import to_pgm
from rag.load.ocr import DPI, PIXELS
from rag.load.pdf import opened, page_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from pypdfium2 import PdfPage  # type: ignore[import-untyped]

POINTS_PER_INCH = 72
LEAST_SCAN = 2.8
"""Pixels a point (200 dots per inch): coarser scans are drawn finer than they are, which Tesseract reads better."""
ENOUGH = 5_000_000
"""Pixels beyond which no coarse scan is drawn finer: such a page is large, and so are its letters."""


def picture(data: bytes, page: int, passwords: Sequence[str] = ()) -> tuple[dict[str, Any], bytes]:
    """Page `page`, from 1, in grey as binary PGM of at most `ocr.PIXELS` pixels; no bytes when nothing is on it."""
    with opened(data, passwords) as document:
        shown = page_of(document, page)
        if next(iter(shown.get_objects(max_depth=1)), None) is None:
            return {}, b""
        image, _ = drawn(shown, _scan_scale(shown), PIXELS, grayscale=True)
        return {}, to_pgm(image.convert("L"))


def png(
    data: bytes, page: int, scale: float, pixels: int, passwords: Sequence[str] = ()
) -> tuple[dict[str, Any], bytes]:
    """Page `page`, from 1, as PNG of at most `pixels` pixels; values: the page's width and height, and the scale."""
    with opened(data, passwords) as document:
        shown = page_of(document, page)
        image, scale = drawn(shown, scale, pixels)
        output = io.BytesIO()
        image.convert("RGB").save(output, "PNG")
        width, height = shown.get_size()
        return {"width": width, "height": height, "scale": scale}, output.getvalue()


def _scan_scale(page: PdfPage) -> float:
    """The resolution that the page was scanned at, or that Tesseract wants where it is no scan of one piece."""
    from pypdfium2 import raw

    width, height = page.get_size()
    wanted = DPI / POINTS_PER_INCH
    for scan in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = scan.get_bounds()
        area = (right - left) * (top - bottom)
        across, down = scan.get_px_size()
        if area > 0.5 * width * height and across * down > 0:
            finer = min(LEAST_SCAN, (ENOUGH / (width * height)) ** 0.5)
            return float(min(max(((across * down) / area) ** 0.5, finer), wanted))
    return wanted


def drawn(page: PdfPage, scale: float, pixels: int, grayscale: bool = False) -> tuple[Image, float]:
    """The page as Pillow's image, and the scale that it was drawn at: smaller than `scale` where it is large."""
    width, height = page.get_size()
    if not (width > 0 and height > 0):
        raise DamagedDocument("loading", "its page has no size", "Export it again")
    # every side is rounded up to whole pixels, so a margin is left for that
    fits = ((pixels * 0.98) / (width * height)) ** 0.5
    longest = pixels**0.5 * 4 / max(width, height)  # a page that is one long strip
    scale = min(scale, fits, longest)
    bitmap = page.render(scale=scale, grayscale=grayscale, may_draw_forms=False)
    return bitmap.to_pil(), scale
