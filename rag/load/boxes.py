"""Where characters of a PDF's text stand on its page, for highlighting, and its pages as pictures.

`passage_boxes` and `render_page` are for a program that shows a page; both run in the parsing process.
Boxes are measured from the top left corner of the page as it is shown, turned and cropped, in points (1/72 inch):
times the scale of `render_page` they are pixels of its picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag.errors import DamagedDocument
from rag.load.formats import PDF, identify
from rag.load.names import source_of
from rag.load.process import PARSING, Limits, Task
from rag.load.reading import configured

PIXELS = 16_000_000
"""Most pixels of a picture: A4 at 400 dots per inch."""
_PNG_BYTES = PIXELS * 3 + (1 << 20)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in points; `left` and `top` are its distances from the page's top left corner."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class PageBoxes:
    """The boxes of a passage, one for each run of characters on a line, and the size of their page in points."""

    width: float
    height: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as PNG, its size in points, and the scale in pixels a point that it was drawn at."""

    png: bytes = field(repr=False)
    width: float
    height: float
    scale: float


def passage_boxes(
    path: str | os.PathLike[str], page: int, start: int, end: int, password: str = "", limits: Limits | None = None
) -> PageBoxes:
    """Where the characters `[start, end)` of a page's text stand.

    Args:
        page: from 1.
        start, end: offsets into the text of the page: those into the document's text, less the `start` of the
            page's segment. What lies beyond the page's text is left out.
        password: of an encrypted PDF; tried before those of the settings.

    Returns:
        No boxes where the text has none: it was recognised from a picture (OCR), or is white space alone.

    Raises:
        DocumentError: the file cannot be read, is no PDF, or has no such page.
    """
    options = {"page": page, "start": start, "end": end}
    values, _ = _ask(path, "boxed", "boxes", options, password, limits or Limits(), 0)
    boxes = tuple(Box(*map(float, box)) for box in values["boxes"])
    return PageBoxes(float(values["width"]), float(values["height"]), boxes)


def render_page(
    path: str | os.PathLike[str], page: int, scale: float = 2.0, password: str = "", limits: Limits | None = None
) -> PagePicture:
    """A page, from 1, as PNG of at most PIXELS pixels; a larger one is drawn at a smaller scale, which is returned.

    Raises:
        ValueError: `scale` is not between 0.05 and 8 pixels a point.
        DocumentError: the file cannot be read, is no PDF, or has no such page.
    """
    if not 0.05 <= scale <= 8:
        raise ValueError(f"scale={scale} is not between 0.05 and 8")
    options = {"page": page, "scale": scale, "pixels": PIXELS}
    values, png = _ask(path, "render", "png", options, password, limits or Limits(), _PNG_BYTES)
    return PagePicture(png, float(values["width"]), float(values["height"]), float(values["scale"]))


def _ask(
    path: str | os.PathLike[str],
    module: str,
    call: str,
    options: dict[str, Any],
    password: str,
    limits: Limits,
    most: int,
) -> tuple[dict[str, Any], bytes]:
    from rag.load import read_file

    path = Path(path)
    source = source_of(path)
    data = read_file(path, None, limits)
    if identify(path, data, f"loading {source}", source) is not PDF:
        raise DamagedDocument(f"loading {source}", "it is no PDF, and has no pages to show", "", source)
    passwords: Sequence[str] = configured(password).passwords
    task = Task(module, call, (*PDF.imports, "PIL.Image"), {**options, "passwords": passwords})
    return PARSING.call(task, data, limits, f"loading {source}", source, most)
