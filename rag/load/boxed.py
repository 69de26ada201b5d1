"""From offsets into a PDF page's text to boxes on the page, in the parsing process.

The text that people see is pdfium's, cleaned of hyphens at line ends and of spaces. So the characters that are not
white space are counted on both sides: the n-th of the text is the n-th that pdfium has on the page.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rag.load.pdf import cleaned, opened, page_of

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage  # type: ignore[import-untyped]

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""
_PRECISION = 100
"""pdfium turns points into whole pixels; a page drawn so many times larger keeps the fractions."""
_DROPPED = "\ufffe\x02\0"
_GAP = 2.5
"""Characters further apart than so many times their height are in two boxes: the columns of a table."""


def boxes(data: bytes, page: int, start: int, end: int, passwords: Sequence[str] = ()) -> tuple[dict[str, Any], bytes]:
    """Values: the page's `width` and `height` in points, and `boxes` of characters `[start, end)` of its text."""
    with opened(data, passwords) as document:
        shown = page_of(document, page)
        textpage = shown.get_textpage()
        text = cleaned(str(textpage.get_text_bounded()))
        width, height = shown.get_size()
        return {"width": width, "height": height, "boxes": on_page(shown, textpage, text, start, end)}, b""


def on_page(page: PdfPage, textpage: PdfTextPage, text: str, start: int, end: int) -> list[list[float]]:
    """Boxes, left, top, right, bottom in points, of characters `[start, end)` of the page's cleaned text."""
    indices = _indices(text, list(_characters(textpage)))
    wanted = [indices[at] for at in range(max(0, start), min(end, len(text))) if at in indices]
    return [_as_shown(page, rectangle) for rectangle in _lines(_rectangles(textpage, wanted))]


def _characters(textpage: PdfTextPage) -> Iterator[tuple[int, str]]:
    """Index and character of what is neither white space nor dropped by the clean-up, as pdfium has it on the page."""
    from pypdfium2 import raw

    high, high_at = 0, 0
    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        if 0xD800 <= code < 0xDC00:
            high, high_at = code, index
            continue
        if 0xDC00 <= code < 0xE000:
            if high and index == high_at + 1:
                yield high_at, chr(0x10000 + ((high - 0xD800) << 10) + code - 0xDC00)
            continue
        character = chr(code)
        if not character.isspace() and character not in _DROPPED:
            yield index, character


def _indices(text: str, characters: list[tuple[int, str]]) -> dict[int, int]:
    """Maps offsets into the text to pdfium's indices. Characters outside the page's crop box are not in the text."""
    offsets = [at for at, c in enumerate(text) if not c.isspace() and c not in _DROPPED]
    if len(offsets) == len(characters):
        return {at: index for at, (index, _) in zip(offsets, characters, strict=True)}
    result: dict[int, int] = {}
    cursor = 0
    for at in offsets:
        following = next((i for i in range(cursor, len(characters)) if characters[i][1] == text[at]), None)
        if following is None:
            continue
        result[at] = characters[following][0]
        cursor = following + 1
    return result


def _rectangles(textpage: PdfTextPage, indices: list[int]) -> Iterator[Rectangle]:
    """The boxes of characters, as high as their font, in the page's own coordinates (upwards, as left, top, …)."""
    from pypdfium2 import PdfiumError

    for index in indices:
        try:
            left, bottom, right, top = textpage.get_charbox(index, loose=True)
        except PdfiumError:
            continue
        if right > left and top > bottom:
            yield left, top, right, bottom


def _lines(rectangles: Iterator[Rectangle]) -> Iterator[Rectangle]:
    """Neighbours on one line as one rectangle."""
    current: Rectangle | None = None
    for box in rectangles:
        if current is not None and _continues(current, box):
            left, top, right, bottom = current
            current = (min(left, box[0]), max(top, box[1]), max(right, box[2]), min(bottom, box[3]))
            continue
        if current is not None:
            yield current
        current = box
    if current is not None:
        yield current


def _continues(line: Rectangle, box: Rectangle) -> bool:
    height = min(line[1] - line[3], box[1] - box[3])
    overlap = min(line[1], box[1]) - max(line[3], box[3])
    gap = max(box[0] - line[2], line[0] - box[2])
    return overlap > 0.5 * height and gap < _GAP * height


def _as_shown(page: PdfPage, rectangle: Rectangle) -> list[float]:
    """From the page's coordinates to those of the page as it is shown: from its top left corner, turned and cropped."""
    from pypdfium2 import raw

    width, height = page.get_size()
    size = (int(width * _PRECISION), int(height * _PRECISION))
    corners = []
    for x, y in (rectangle[:2], rectangle[2:]):
        across, down = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, across, down)
        corners.append((across.value / _PRECISION, down.value / _PRECISION))
    (x0, y0), (x1, y1) = corners
    return [max(0.0, min(x0, x1)), max(0.0, min(y0, y1)), min(width, max(x0, x1)), min(height, max(y0, y1))]
