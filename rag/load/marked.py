"""A PDF page as a picture with a quote's words boxed, in the parsing process.

The quote comes from the text that was indexed, and the page's text may break its lines and hyphenate otherwise. So
both are compared by their letters and digits alone, in compatible form and without case.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rag.load.boxed import on_page
from rag.load.pdf import cleaned, opened, page_of
from rag.load.render import drawn

if TYPE_CHECKING:
    from PIL.Image import Image

TINT = (255, 236, 140)
"""Multiplied with what stands in the boxes: yellow on white, and dark letters stay dark."""
RING, HALO = (11, 61, 145), (255, 255, 255)
"""Dark blue round the boxes, and white round that, so that one of the two stands out on any page in any colours."""
RING_POINTS, HALO_POINTS = 1.5, 0.75
MOST_BOXES = 500


def png(
    data: bytes,
    page: int,
    quotes: Sequence[tuple[str, str]],
    scale: float,
    pixels: int,
    passwords: Sequence[str] = (),
) -> tuple[dict[str, Any], bytes]:
    """Page `page`, from 1, as PNG of at most `pixels` pixels with each quote boxed.

    Args:
        quotes: words, and what stands before them in the document, which tells between places with the same words.

    Returns:
        Values: `width` and `height` in points, `scale`, `pages`, `boxes` in points, and how many quotes are `found`.
    """
    with opened(data, passwords) as document:
        shown = page_of(document, page)
        textpage = shown.get_textpage()
        text = cleaned(str(textpage.get_text_bounded()))
        spans = [span for words, before in quotes if (span := place_of(words, text, before)) is not None]
        boxes = [box for span in spans for box in on_page(shown, textpage, text, *span)][:MOST_BOXES]
        image, scale = drawn(shown, scale, pixels)
        output = io.BytesIO()
        _with_boxes(image.convert("RGB"), boxes, scale).save(output, "PNG")
        width, height = shown.get_size()
        values = {"width": width, "height": height, "scale": scale, "pages": len(document)}
        return {**values, "boxes": boxes, "found": len(spans) if boxes else 0}, output.getvalue()


def place_of(words: str, text: str, before: str = "") -> tuple[int, int] | None:
    """Where in `text` the words stand, whatever its white space and hyphens; None where they do not.

    Of several places it is the one with most of `before` in front of it, then the first. Parts of words do not count.
    """
    sought, there = _letters(words), list(_placed(text))
    if not sought:
        return None
    letters = "".join(letter for _, letter in there)
    front = _letters(before)[::-1]
    best, most = None, -1
    at = letters.find(sought)
    while at >= 0:
        start, end = there[at][0], there[at + len(sought) - 1][0] + 1
        alone = not text[start - 1 : start].isalnum() and not text[end : end + 1].isalnum()
        if alone and (shared := _shared(front, letters[max(0, at - len(front)) : at][::-1])) > most:
            best, most = (start, end), shared
        at = letters.find(sought, at + 1)
    return best and _with_signs(words, text, *best)


def _with_signs(words: str, text: str, start: int, end: int) -> tuple[int, int]:
    """The place with the brackets, full stops and other signs that the words begin and end with."""
    signs = [at for at, character in enumerate(words) if _letters(character)]
    for sign in reversed("".join(words[: signs[0]].split())):
        start -= text[start - 1 : start] == sign
    for sign in "".join(words[signs[-1] + 1 :].split()):
        end += text[end : end + 1] == sign
    return start, end


def _letters(text: str) -> str:
    return "".join(letter for _, letter in _placed(text))


def _placed(text: str) -> Iterator[tuple[int, str]]:
    """Each letter and digit in a form that is equal for equal ones, with its offset."""
    for at, character in enumerate(text):
        for letter in unicodedata.normalize("NFKD", character).casefold():
            if letter.isalnum():
                yield at, letter


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _with_boxes(image: Image, boxes: Sequence[Sequence[float]], scale: float) -> Image:
    from PIL import Image as Pillow
    from PIL import ImageChops

    if not boxes:
        return image
    inner = _mask(image, boxes, scale, 0)
    ringed = _mask(image, boxes, scale, RING_POINTS)
    tinted = Pillow.composite(ImageChops.multiply(image, Pillow.new("RGB", image.size, TINT)), image, inner)
    tinted.paste(HALO, mask=ImageChops.subtract(_mask(image, boxes, scale, RING_POINTS + HALO_POINTS), ringed))
    tinted.paste(RING, mask=ImageChops.subtract(ringed, inner))
    return tinted


def _mask(image: Image, boxes: Sequence[Sequence[float]], scale: float, margin: float) -> Image:
    """White where the boxes are, each `margin` points wider on every side."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    mask = Pillow.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for left, top, right, bottom in boxes:
        wider = max(1.0, margin * scale) if margin else 0.0
        corners = (left * scale - wider, top * scale - wider, right * scale + wider, bottom * scale + wider)
        draw.rectangle([round(side) for side in corners], fill=255)
    return mask
