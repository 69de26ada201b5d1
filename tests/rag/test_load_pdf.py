"""PDFs behind a password, boxes of passages, and pages as pictures."""

import hashlib
import io
import os
import re
import zlib
from pathlib import Path

import pytest
from PIL import Image

from rag.errors import DamagedDocument, DocumentError, EncryptedDocument
from rag.load import Reading, load
from rag.load.boxes import Box, passage_boxes, render_page
from rag.load.pdf import cleaned
from rag.load.reading import configured

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "docs"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the public test documents are not at {DATA}")
PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def rc4(key, data):
    state, j, result = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        result.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(result)


def make_pdf(*pages, password="", page_keys="", media="0 0 600 800"):
    """A PDF with these content streams for pages; with a password encrypted (ISO 32000-1, 7.6: RC4 of 40 bits)."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    key, trailer = b"", b""
    if password:
        padded = (password.encode() + PADDING)[:32]
        owner = rc4(hashlib.md5(padded).digest()[:5], padded)
        key = hashlib.md5(padded + owner + b"\xfc\xff\xff\xff" + b"0123456789abcdef").digest()[:5]
        encrypt = f"/O<{owner.hex()}>/U<{rc4(key, PADDING).hex()}>"
        trailer = f"/Encrypt<</Filter/Standard/V 1/R 2/P -4{encrypt}>>/ID[<{b'0123456789abcdef'.hex()}><00>]".encode()
    for i, content in enumerate(pages):
        number = 5 + 2 * i
        stream = zlib.compress(content.encode("cp1252"))
        if key:
            stream = rc4(hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10], stream)
        page = f"<</Type/Page/Parent 2 0 R/MediaBox[{media}]/Contents {number} 0 R{page_keys}"
        objects.append(f"{page}/Resources<</Font<</F1 3 0 R>>>>>>".encode())
        objects.append(b"<</Filter/FlateDecode/Length %d>>stream\n" % len(stream) + stream + b"\nendstream")
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n" % number + each + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + end


def shown(text, x=72, y=700):
    return f"BT /F1 12 Tf {x} {y} Td ({text}) Tj ET "


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.pdf"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def locked(write):
    return write(make_pdf(shown("A secret page"), password="opensesame"))


def test_a_password_opens_an_encrypted_pdf(locked):
    assert load(locked, password="opensesame").text == "A secret page"
    assert load(locked, reading=Reading(passwords=("wrong", "opensesame"))).text == "A secret page"


@pytest.mark.parametrize(
    ("password", "cause"), [("", "it needs a password"), ("hunter2", "none of the 1 known opens it")]
)
def test_without_the_right_password_the_error_says_so_and_shows_none(locked, password, cause):
    with pytest.raises(EncryptedDocument, match=cause) as raised:
        load(locked, password=password)
    assert "HEARTH_RAG_PDF_PASSWORDS" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(raised.value)


def test_passwords_of_the_settings_are_tried_and_never_shown(locked, monkeypatch, write):
    monkeypatch.setenv("HEARTH_RAG_PDF_PASSWORDS", "first\nopensesame")
    assert load(locked).text == "A secret page"
    assert passage_boxes(locked, 1, 0, 3).boxes
    assert configured("given").passwords == ("given", "first", "opensesame")
    assert "opensesame" not in repr(configured())
    other = write(make_pdf(shown("Other"), password="another"), "b.pdf")
    with pytest.raises(EncryptedDocument) as raised:
        load(other)
    assert "opensesame" not in str(raised.value)


def test_a_password_that_is_not_needed_does_no_harm(write):
    assert load(write(make_pdf(shown("Open"))), password="opensesame").text == "Open"


def test_a_box_is_where_the_words_stand(write):
    path = write(make_pdf(shown("Nothing here"), shown("One two three")))
    found = passage_boxes(path, 2, 4, 7)
    assert (found.width, found.height) == (600, 800)
    (box,) = found.boxes
    assert box.left == pytest.approx(72 + 25, abs=2)  # "One " in Helvetica 12 is 25.3 points wide
    assert box.right == pytest.approx(72 + 25 + 19.3, abs=2)
    assert box.top < 100 < box.bottom + 1  # the baseline is 100 points below the top
    assert box.bottom - box.top < 20


def test_a_passage_over_lines_has_a_box_for_each_and_hyphens_shift_nothing(write):
    path = write(make_pdf(shown("First line of ware\xad", y=700) + shown("house words", y=680) + shown("Third", y=660)))
    text = load(path).text
    start = text.index("house words") + 2
    found = passage_boxes(path, 1, start, len(text))
    assert len(found.boxes) == 2
    assert found.boxes[0].left > 72 + 8
    assert found.boxes[1].left == pytest.approx(72, abs=1.5)
    assert [round(box.bottom / 20) for box in found.boxes] == [6, 7]


def test_columns_on_one_line_have_a_box_each(write):
    path = write(make_pdf(shown("Left") + shown("Right", x=400)))
    assert len(passage_boxes(path, 1, 0, 99).boxes) == 2


@pytest.mark.parametrize(("turn", "size"), [(0, (600, 800)), (90, (800, 600)), (180, (600, 800)), (270, (800, 600))])
def test_boxes_lie_over_dark_pixels_of_the_rendered_page_however_it_is_turned(write, turn, size):
    path = write(make_pdf(shown("Mark me") + shown("Leave me", y=100), page_keys=f"/Rotate {turn}"))
    found = passage_boxes(path, 1, 0, 7)
    picture = render_page(path, 1, scale=2)
    assert (found.width, found.height) == (picture.width, picture.height) == size
    image = Image.open(io.BytesIO(picture.png)).convert("L")
    assert image.size == (size[0] * 2, size[1] * 2)
    inside, whole = 0, sum(image.histogram()[:128])
    for box in found.boxes:
        part = image.crop(tuple(round(side * picture.scale) for side in (box.left, box.top, box.right, box.bottom)))
        inside += sum(part.histogram()[:128])
    assert 0.3 * whole < inside < 0.7 * whole  # one of two lines of about the same length


def test_a_cropped_page_is_measured_from_its_crop(write):
    path = write(make_pdf(shown("Mark me") + shown("Cut off", y=20), page_keys="/CropBox[50 600 350 750]"))
    assert load(path).text == "Mark me"
    found = passage_boxes(path, 1, 0, 4)
    assert (found.width, found.height) == (300, 150)
    assert found.boxes[0].left == pytest.approx(22, abs=1.5)
    assert found.boxes[0].bottom == pytest.approx(52, abs=4)


@pytest.mark.parametrize(("start", "end"), [(5, 5), (99, 120), (-3, 0)])
def test_what_lies_beyond_the_text_has_no_box(write, start, end):
    assert passage_boxes(write(make_pdf(shown("One two"))), 1, start, end).boxes == ()


@pytest.mark.parametrize("page", [0, -1, 2, 10**9])
def test_a_page_that_is_not_there_is_an_error(write, page):
    path = write(make_pdf(shown("One")))
    with pytest.raises(DamagedDocument, match="no page"):
        passage_boxes(path, page, 0, 1)
    with pytest.raises(DamagedDocument, match="no page"):
        render_page(path, page)


def test_a_page_is_drawn_no_larger_than_allowed(write):
    huge = render_page(write(make_pdf(shown("One"), media="0 0 14000 14000")), 1, scale=8)
    assert Image.open(io.BytesIO(huge.png)).size[0] <= 4000
    assert 0 < huge.scale < 0.3
    with pytest.raises(ValueError, match="scale"):
        render_page(write(make_pdf(shown("One"))), 1, scale=100)


def test_what_is_no_pdf_has_no_pages(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DocumentError, match="no PDF"):
        passage_boxes(tmp_path / "a.txt", 1, 0, 1)


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "pdf/bookmark_sample.pdf",
        "small/kotaemon/table.pdf",
        "odf/sources/text_document_03.odt.pdf",
        "small/onyx/multipage.pdf",
    ],
)
def test_every_word_of_real_pages_has_a_box_on_its_page(name):
    document = load(DATA / name)
    for segment in document.segments:
        text = document.text[segment.start : segment.end].rstrip("\n")
        for word in list(re.finditer(r"\S+", text))[:40:4]:
            found = passage_boxes(DATA / name, segment.page, *word.span())
            assert found.boxes, word.group()
            for box in found.boxes:
                assert 0 <= box.left < box.right <= found.width
                assert 0 <= box.top < box.bottom <= found.height


def test_the_clean_up_of_a_page_joins_words_and_trims_lines():
    assert cleaned("ware\ufffe\r\nhouse \r\nopen\x02s\r\n\r\n") == "warehouse\nopens"
    assert Box(1, 2, 3, 4) == Box(1, 2, 3, 4)
