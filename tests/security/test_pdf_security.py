"""PDFs and pictures that would take all memory, all time, or the stack: each is refused or read within its limits."""

import io
import struct
import zlib

import pytest
from PIL import Image

from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.load import Limits, Reading, load, ocr
from rag.load.boxes import passage_boxes, render_page

WITHOUT_OCR = Reading(ocr=False)
QUICK = Limits(seconds=15, memory=512 << 20)
PAGE = b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R>>\nendobj\n"
ROOT = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
PAGES = b"2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n"
END = b"trailer<</Root 1 0 R>>\n%%EOF"


def stream(data, keys=b""):
    return b"4 0 obj\n<<%s/Length %d>>stream\n" % (keys, len(data)) + data + b"\nendstream\nendobj\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.pdf"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def packed(times, size=64 << 20):
    """So many bytes of spaces, packed so many times over."""
    data = b" " * size
    for _ in range(times):
        data = zlib.compress(data, 9)
    return data


XREF = b"xref\n0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF"
FORM = b"/Resources<</XObject<</F 5 0 R>>>>"
ITSELF = b"5 0 obj\n<</Type/XObject/Subtype/Form/BBox[0 0 9 9]%s/Length 5>>stream\n/F Do\nendstream\nendobj\n" % FORM
OBJECTS = b"4 0 obj\n<</Type/ObjStm/N 1000000/First 9/Extends 4 0 R/Length 9>>stream\n4 0 1 0 2\nendstream\nendobj\n"
THRICE = b"/Filter[/FlateDecode/FlateDecode/FlateDecode]"
ONE = ROOT + PAGES + PAGE
BOMBS = {
    "arrays in arrays": ROOT + b"2 0 obj\n" + b"[" * 500_000 + b"\nendobj\n" + END,
    "dictionaries in dictionaries": ROOT + b"2 0 obj\n" + b"<</A" * 300_000 + b"\nendobj\n" + END,
    "arrays in a content stream": ONE + stream(b"[" * 1_000_000) + END,
    "states saved in states": ONE + stream(b"q " * 500_000) + END,
    "a page that is its own parent": ROOT + b"2 0 obj\n<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>\nendobj\n" + END,
    "a billion pages": ROOT + PAGES.replace(b"Count 1", b"Count 1000000000") + PAGE + END,
    "a negative count": ROOT + PAGES.replace(b"Count 1", b"Count -5") + PAGE + END,
    "a stream that says it is longer": ONE + stream(b"x").replace(b"Length 1", b"Length 2147483647") + END,
    "a stream packed three times": ONE + stream(packed(3), THRICE) + END,
    "a filter a thousand times": ONE + stream(b"x", b"/Filter[" + b"/ASCIIHexDecode" * 1000 + b"]") + END,
    "an object stream of itself": ROOT + OBJECTS + END,
    "a table of references in a circle": ONE + XREF,
    "a form that draws itself": ROOT + PAGES + PAGE.replace(b">>", FORM + b">>", 1) + stream(b"/F Do") + ITSELF + END,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_pdf_bomb_is_a_typed_error_and_the_next_file_is_read(write, bomb):
    with pytest.raises(DocumentError) as raised:
        load(write(bomb), limits=QUICK, reading=WITHOUT_OCR)
    assert "\n" not in str(raised.value)
    assert load(write(b"All is well", "note.txt")).text == "All is well"


@pytest.mark.parametrize("side", [b"14400", b"1000000", b"1e30", b"2147483647", b"0", b"-5"])
def test_a_page_of_any_size_is_drawn_within_limits_or_refused(write, side):
    page = PAGE.replace(b"[0 0 99 99]", b"[0 0 %s %s]" % (side, side))
    path = write(ROOT + PAGES + page + stream(b"0 0 50 50 re f") + END)
    try:
        picture = render_page(path, 1, scale=8, limits=QUICK)
    except DocumentError:
        return
    width, height = Image.open(io.BytesIO(picture.png)).size
    assert width * height <= 16_000_000


@pytest.mark.skipif(not ocr.available(), reason="Tesseract is not installed (tesseract-ocr)")
@pytest.mark.parametrize("box", [b"0 0 100000 100000", b"0 0 1 100000", b"0 0 0.01 0.01"])
def test_a_scan_of_any_size_is_recognised_within_limits(write, box):
    page = PAGE.replace(b"0 0 99 99", box)
    with pytest.raises(DocumentError):
        load(write(ROOT + PAGES + page + stream(b"0 0 50 50 re f") + END), limits=Limits(recognition=30))


def test_boxes_of_a_bomb_are_a_typed_error(write):
    with pytest.raises(DocumentError):
        passage_boxes(write(BOMBS["arrays in arrays"]), 1, 0, 5, limits=QUICK)


def png(width, height, data=b""):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (100_000_001, 1), (1, 2**31 - 1)]
)
def test_a_picture_that_would_unpack_to_gigabytes_is_a_limit(write, width, height):
    bomb = png(width, height, zlib.compress(b"\0" * 1_000_000, 9))
    assert len(bomb) < 10_000
    with pytest.raises(DocumentLimit, match="million pixels"):
        load(write(bomb, "a.png"))


@pytest.mark.skipif(not ocr.available(), reason="Tesseract is not installed (tesseract-ocr)")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_picture_that_was_cut_is_damaged(write, kind, part):
    output = io.BytesIO()
    Image.effect_noise((300, 300), 90).convert("RGB").save(output, kind)
    data = output.getvalue()
    with pytest.raises(DamagedDocument, match="cannot be decoded"):
        load(write(data[: int(len(data) * part)], f"a.{kind.lower()}"))


def test_a_tiff_of_pictures_in_a_circle_ends(write):
    output = io.BytesIO()
    Image.new("L", (30, 30)).save(output, "TIFF")
    data = bytearray(output.getvalue())
    at = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[at : at + 2], "little")
    following = at + 2 + 12 * entries
    data[following : following + 4] = data[4:8]
    with pytest.raises(DocumentError):
        load(write(bytes(data), "a.tif"), limits=QUICK)


@pytest.mark.parametrize(
    "data", [b"GIF89a" + b"\0" * 99, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", b"\0\0\0\x0cjP  \r\n\x87\n"]
)
def test_other_kinds_of_pictures_are_not_decoded_under_a_known_name(write, data):
    with pytest.raises(DamagedDocument, match="does not begin"):
        load(write(data, "a.png"))
