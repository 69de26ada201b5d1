"""A page of a PDF as a picture in which a quote is boxed: what people see of a citation.

picture = draw_page("manual.pdf", 3, "The battery lasts nine hours.")
Path("page.png").write_bytes(picture.png)

The file is parsed and drawn in the limited child process that loads documents. Pictures are kept for a while under
home()/cache/pages, by the file's content, the page and the quote; those of encrypted files are not.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decoder.settings import home
from rag.errors import DamagedDocument, DocumentChanged, UnsupportedFormat
from rag.load import Limits, read_file
from rag.load.boxes import Box
from rag.load.formats import PDF, identify
from rag.load.names import source_of
from rag.load.process import PARSING, Task
from rag.load.reading import configured

SCALE = 2.0
"""Pixels a point: A4 is 1190 by 1684."""
PIXELS = 6_000_000
"""Most pixels of a picture; a larger page is drawn smaller."""
PNG_BYTES = PIXELS * 3 + (1 << 20)
CACHE_BYTES = 64 << 20
QUOTE_CHARACTERS, BEFORE_CHARACTERS, QUOTES = 20_000, 200, 20
LIMITS = Limits(seconds=10.0)
_FORM = "1"
"""Of what is drawn; another one makes cached pictures of before void."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """Words of a page. `before` is what stands in front of them, which tells between places with the same words."""

    words: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as a picture.

    Attributes:
        png: at `scale` pixels a point.
        width, height: in points, as the page is shown.
        pages: how many the document has.
        boxes: of the quoted words, in points from the page's top left corner.
        found: how many of the quotes have boxes. Text that was recognised in a scan (OCR) has none.
    """

    png: bytes = field(repr=False)
    width: float
    height: float
    scale: float
    pages: int
    boxes: tuple[Box, ...] = ()
    found: int = 0


def draw_page(
    file: str | os.PathLike[str],
    page: int,
    boxes_of: str | Sequence[str | Quoted] = (),
    *,
    content_hash: str = "",
    password: str = "",
    limits: Limits = LIMITS,
) -> PagePicture:
    """Draw a page with a tint on the quoted words and a line round them.

    Args:
        page: from 1.
        boxes_of: the words, found whatever the page's white space and hyphens are; those that the page lacks are
            left out, and `PagePicture.found` says so.
        content_hash: sha256 of the file as it was indexed, hex; empty takes it as it is.
        password: of an encrypted PDF; tried before those of the settings.

    Raises:
        DocumentChanged: the file's hash is another.
        EncryptedDocument, DamagedDocument, DocumentLimit: what is wrong with it.
        DocumentError: it cannot be read, or is no PDF.
    """
    path = Path(file)
    source = source_of(path)
    step = f"showing {source}"
    data = read_file(path, None, limits)
    digest = hashlib.sha256(data).hexdigest()
    if content_hash and digest != content_hash:
        raise DocumentChanged(step, "the file has changed since it was indexed", "Index it again", source)
    if identify(path, data, step, source) is not PDF:
        raise UnsupportedFormat(step, "it is no PDF, and has no pages to show", "", source)
    quotes = [(each, "") if isinstance(each, str) else (each.words, each.before) for each in _several(boxes_of)]
    asked = [(words[:QUOTE_CHARACTERS], before[-BEFORE_CHARACTERS:]) for words, before in quotes[:QUOTES]]
    kept = None if password or b"/Encrypt" in data else _place(digest, page, asked)
    picture = _read(kept) if kept else None
    if picture is None:
        options = {"page": page, "quotes": asked, "scale": SCALE, "pixels": PIXELS}
        options["passwords"] = configured(password).passwords
        task = Task("marked", "png", (*PDF.imports, "PIL.Image", "PIL.ImageChops", "PIL.ImageDraw"), options)
        values, png = PARSING.call(task, data, limits, step, source, PNG_BYTES)
        picture = _picture(values, png, step, source)
        if kept:
            _write(kept, picture)
    return picture


def _several(boxes_of: str | Sequence[str | Quoted]) -> Sequence[str | Quoted]:
    return [boxes_of] if isinstance(boxes_of, str) else boxes_of


def _picture(values: dict[str, Any], png: bytes, step: str, source: str) -> PagePicture:
    """What the child answered. It read hostile bytes, so nothing is believed of it."""
    try:
        boxes = tuple(Box(*map(float, box)) for box in values["boxes"])
        sizes = (float(values["width"]), float(values["height"]), float(values["scale"]))
        picture = PagePicture(png, *sizes, int(values["pages"]), boxes, int(values["found"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedDocument(step, "its parser answered nonsense", "Export it again", source) from error
    if not png.startswith(b"\x89PNG"):
        raise DamagedDocument(step, "its parser made no picture", "Export it again", source)
    return picture


# Pictures that were drawn before


def _place(digest: str, page: int, quotes: Sequence[tuple[str, str]]) -> Path:
    key = json.dumps([_FORM, digest, page, quotes, SCALE, PIXELS])
    return home() / "cache" / "pages" / hashlib.sha256(key.encode()).hexdigest()


def _read(place: Path) -> PagePicture | None:
    """A line of JSON and the PNG; None where there is none, or it is no longer whole."""
    try:
        head, _, png = place.read_bytes().partition(b"\n")
        values = json.loads(head)
        if values.pop("sha256") != hashlib.sha256(png).hexdigest():
            return None
        place.touch()
        return _picture(values, png, "", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DamagedDocument):
        return None


def _write(place: Path, picture: PagePicture) -> None:
    """Keep it, and let the oldest go where there is no room. A disk that is full or read-only keeps nothing."""
    values = {"width": picture.width, "height": picture.height, "scale": picture.scale, "pages": picture.pages}
    boxes = [[box.left, box.top, box.right, box.bottom] for box in picture.boxes]
    values_too = {"boxes": boxes, "found": picture.found, "sha256": hashlib.sha256(picture.png).hexdigest()}
    aside = place.with_name(f".{secrets.token_hex(8)}")
    with suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            aside.touch(0o600)
            aside.write_bytes(json.dumps(values | values_too).encode() + b"\n" + picture.png)
            aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)
        _make_room(place.parent)


def _make_room(folder: Path) -> None:
    held = sorted(((each.stat().st_mtime_ns, each.stat().st_size, each) for each in folder.iterdir()), reverse=True)
    total = 0
    for _, size, each in held:
        total += size
        if total > CACHE_BYTES:
            each.unlink(missing_ok=True)
