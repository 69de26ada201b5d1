"""A page of a PDF with a quote boxed: where the box lies, what is not found, what is wrong with a file, the cache."""

import hashlib
import importlib.util
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from rag import page_picture
from rag.errors import (
    DamagedDocument,
    DocumentChanged,
    DocumentError,
    DocumentLimit,
    EncryptedDocument,
    UnsupportedFormat,
)
from rag.load import Limits, load
from rag.load.boxes import passage_boxes, render_page
from rag.load.marked import HALO, RING, TINT, place_of
from rag.load.process import PARSING
from rag.page_picture import Quoted, draw_page

HERE = Path(__file__).parent


def _from(path):
    spec = importlib.util.spec_from_file_location(f"tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pdfs, bombs = _from(HERE / "test_load_pdf.py"), _from(HERE.parent / "security" / "test_pdf_security.py")
make_pdf, shown, DATA = pdfs.make_pdf, pdfs.shown, pdfs.DATA


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))

    def write(content, name="a.pdf"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "home" / "cache" / "pages"


def pixels(picture):
    return Image.open(io.BytesIO(picture.png)).convert("RGB")


def part(picture, box, margin=0.0):
    sides = (box.left - margin, box.top - margin, box.right + margin, box.bottom + margin)
    return pixels(picture).crop([round(side * picture.scale) for side in sides])


def share_of(image, *colours):
    counts = {colour: n for n, colour in image.getcolors(1 << 24)}
    return sum(counts.get(colour, 0) for colour in colours) / (image.width * image.height)


# Where the box lies


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_box_covers_the_words_and_nothing_else_however_the_page_is_turned(write, turn):
    path = write(
        make_pdf(shown("Some words. Mark me. Others.") + shown("Leave me.", y=100), page_keys=f"/Rotate {turn}")
    )
    text = load(path).text
    start = text.index("Mark me.")
    picture = draw_page(path, 1, "Mark me.")
    (box,) = picture.boxes
    assert picture.boxes == passage_boxes(path, 1, start, start + 8).boxes
    assert picture.found == 1
    assert share_of(part(picture, box), TINT) > 0.5
    plain = pixels(render_page(path, 1, scale=page_picture.SCALE)).getchannel("R")  # which yellow leaves as it was
    inside = [round(side * picture.scale) for side in (box.left, box.top, box.right, box.bottom)]
    letters = plain.crop(inside)
    assert letters.tobytes() == pixels(picture).getchannel("R").crop(inside).tobytes()
    assert sum(letters.histogram()[:60]) > 100
    rest = draw_page(path, 1)
    assert _without(pixels(rest), inside) == _without(pixels(picture), inside)


def _without(image, box, margin=6):
    """The bytes of a picture whose box, and what is next to it, was blacked out."""
    left, top, right, bottom = box
    image.paste((0, 0, 0), (left - margin, top - margin, right + margin, bottom + margin))
    return image.tobytes()


def test_a_line_runs_round_the_box_and_stands_out_on_light_and_on_dark(write):
    black = "0 0 600 800 re f 1 1 1 rg "
    for content in (shown("White page"), black + shown("Black page")):
        picture = draw_page(write(make_pdf(content)), 1, "page")
        (box,) = picture.boxes
        assert share_of(part(picture, box), RING) < 0.05
        assert share_of(part(picture, box, 3), RING) > 0.1
        assert share_of(part(picture, box, 3), HALO) > 0.05
        row = round((box.top - 1) * picture.scale)
        middle = round((box.left + box.right) / 2 * picture.scale)
        assert pixels(picture).getpixel((middle, row)) == RING


def test_a_quote_over_lines_and_hyphens_is_found_by_its_words(write):
    path = write(make_pdf(shown("First line of ware\xad", y=700) + shown("house  words. Then more", y=680)))
    picture = draw_page(path, 1, "line of\n warehouse words.")
    assert (picture.found, len(picture.boxes)) == (1, 2)
    assert picture.boxes[1].left == pytest.approx(72, abs=1.5)


def test_of_equal_places_the_one_that_follows_the_same_words_is_boxed(write):
    path = write(make_pdf(shown("The fee is due.", y=700) + shown("In May: the fee is due.", y=600)))
    first = draw_page(path, 1, "The fee is due.")
    second = draw_page(path, 1, [Quoted("the fee is due.", before="as was said. In May: ")])
    assert first.boxes[0].bottom < 120 < 180 < second.boxes[0].top


def test_several_quotes_are_boxed_and_counted(write):
    path = write(make_pdf(shown("One two") + shown("three four", y=600), shown("next")))
    picture = draw_page(path, 1, ["One", "three", "absent"])
    assert (picture.found, len(picture.boxes), picture.pages) == (2, 2, 2)


@pytest.mark.parametrize("quote", ["absent words", "art", "", "  ", "..."])
def test_what_the_page_lacks_has_no_box_and_that_is_said(write, quote):
    path = write(make_pdf(shown("A cart. And more")))
    picture = draw_page(path, 1, quote)
    assert (picture.found, picture.boxes) == (0, ())
    assert picture.png == draw_page(path, 1).png


@pytest.mark.parametrize(
    ("words", "text", "place"),
    [
        ("nine hours", "It lasts nine\nhours.", "nine\nhours"),
        ("(nine hours).", "It lasts (nine  hours). No", "(nine  hours)."),
        ("efficient", "an e\ufb03cient lamp", "e\ufb03cient"),
        ("cafe\u0301", "Zum Caf\u00e9 dort", "Caf\u00e9"),
        ("STRASSE", "die Stra\u00dfe hier", "Stra\u00dfe"),
        ("電池は九時間", "この。電池は\n九時間。", "電池は\n九時間"),
    ],
)
def test_words_are_compared_by_letters_alone(words, text, place):
    start, end = place_of(words, text)
    assert text[start:end] == place


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the public test documents are not at {DATA}")
@pytest.mark.parametrize("name", ["pdf/bookmark_sample.pdf", "small/kotaemon/table.pdf", "small/onyx/multipage.pdf"])
def test_lines_of_real_pages_are_boxed_where_their_characters_stand(write, name):
    document = load(DATA / name)
    for segment in document.segments[:2]:
        text = document.text[segment.start : segment.end]
        for line in [line for line in text.split("\n") if len(line) > 20 and text.count(line) == 1][:3]:
            picture = draw_page(DATA / name, segment.page, line, content_hash=document.content_hash)
            start = text.index(line)
            expected = passage_boxes(DATA / name, segment.page, start, start + len(line)).boxes
            for box, other in zip(picture.boxes, expected, strict=True):
                sides = (other.left, other.top, other.right, other.bottom)
                assert (box.left, box.top, box.right, box.bottom) == pytest.approx(sides, abs=0.5)


# What is wrong with a file


def test_a_file_that_is_no_longer_what_was_indexed_is_not_shown(write):
    path = write(make_pdf(shown("Old")))
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert draw_page(path, 1, "Old", content_hash=before).found == 1
    path.write_bytes(make_pdf(shown("New")))
    with pytest.raises(DocumentChanged, match="Index it again"):
        draw_page(path, 1, "Old", content_hash=before)


def test_an_encrypted_file_needs_its_password_and_no_picture_of_it_is_kept(write, cache, monkeypatch):
    path = write(make_pdf(shown("A secret page"), password="opensesame"))
    with pytest.raises(EncryptedDocument, match="needs a password") as raised:
        draw_page(path, 1, "secret")
    assert "HEARTH_RAG_PDF_PASSWORDS" in str(raised.value)
    assert draw_page(path, 1, "secret", password="opensesame").found == 1
    monkeypatch.setenv("HEARTH_RAG_PDF_PASSWORDS", "opensesame")
    assert draw_page(path, 1, "secret").found == 1
    assert not cache.exists()


@pytest.mark.parametrize("name", ["arrays in arrays", "a billion pages", "a form that draws itself"])
def test_a_bomb_ends_within_limits_and_the_next_file_is_drawn(write, name):
    limits = Limits(seconds=15, memory=512 << 20)
    try:
        draw_page(write(bombs.BOMBS[name]), 1, "x", limits=limits)
    except DocumentError as error:
        assert "\n" not in str(error)
    assert draw_page(write(make_pdf(shown("All is well"))), 1, "well").found == 1


@pytest.mark.parametrize("side", [b"14400", b"1e30", b"0"])
def test_a_page_of_any_size_is_drawn_within_limits_or_refused(write, side):
    page = bombs.PAGE.replace(b"[0 0 99 99]", b"[0 0 %s %s]" % (side, side))
    path = write(bombs.ROOT + bombs.PAGES + page + bombs.stream(b"0 0 50 50 re f") + bombs.END)
    try:
        picture = draw_page(path, 1, "x")
    except DocumentError:
        return
    width, height = pixels(picture).size
    assert width * height <= page_picture.PIXELS


def test_drawing_that_takes_too_long_is_ended(write):
    content = "".join(f"{n % 500} {n % 700} 300 300 re f " for n in range(120_000)) + shown("End")
    with pytest.raises(DocumentLimit, match=r"0\.2 seconds"):
        draw_page(write(make_pdf(content)), 1, "End", limits=Limits(seconds=0.2))
    assert draw_page(write(make_pdf(shown("Again"))), 1, "Again").found == 1


def test_nothing_of_a_pdf_is_parsed_in_this_process(write, monkeypatch):
    def asked(*args, **options):
        raise DamagedDocument("x", "it went to the child", "")

    monkeypatch.setattr(PARSING, "call", asked)
    with pytest.raises(DamagedDocument, match="went to the child"):
        draw_page(write(make_pdf(shown("One"))), 1, "One")


@pytest.mark.parametrize("page", [0, -1, 2, 10**9])
def test_a_page_that_is_not_there_is_an_error(write, page):
    with pytest.raises(DamagedDocument, match="no page"):
        draw_page(write(make_pdf(shown("One"))), page)


def test_what_is_no_pdf_or_not_there_is_an_error(write, tmp_path):
    with pytest.raises(UnsupportedFormat, match="no PDF"):
        draw_page(write(b"text", "a.txt"), 1)
    with pytest.raises(DocumentError, match="cannot be read"):
        draw_page(tmp_path / "none.pdf", 1)


# The cache


def test_a_picture_is_drawn_once_for_a_page_a_quote_and_a_content(write, monkeypatch, cache):
    path = write(make_pdf(shown("One two"), shown("Three")))
    first = draw_page(path, 1, "One")
    calls = []
    real = PARSING.call
    monkeypatch.setattr(PARSING, "call", lambda *args: calls.append(args) or real(*args))
    assert draw_page(path, 1, "One") == first
    assert not calls
    draw_page(path, 1, "two")
    draw_page(path, 2, "One")
    path.write_bytes(make_pdf(shown("One 2")))
    draw_page(path, 1, "One")
    assert len(calls) == 3
    assert len(list(cache.iterdir())) == 4
    assert all(file.stat().st_mode & 0o077 == 0 for file in cache.iterdir())


def test_a_damaged_picture_in_the_cache_is_drawn_again(write, cache):
    path = write(make_pdf(shown("One two")))
    first = draw_page(path, 1, "One")
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:-9], b"", b"[]\n", b"{}\nx", b"\xff" * 50, whole[:-1] + b"x"):
        file.write_bytes(damaged)
        assert draw_page(path, 1, "One") == first
    assert file.read_bytes() == whole


def test_the_cache_is_bounded_and_the_oldest_go(write, cache, monkeypatch):
    path = write(make_pdf(*(shown(f"Page {n}") for n in range(1, 5))))
    size = len(draw_page(path, 1).png)
    monkeypatch.setattr(page_picture, "CACHE_BYTES", int(size * 2.9))
    (oldest,) = cache.iterdir()
    os.utime(oldest, (1, 1))
    for page in (2, 3, 4):
        draw_page(path, page)
    assert sum(file.stat().st_size for file in cache.iterdir()) <= size * 2.9
    assert not oldest.exists()


def test_a_disk_that_takes_nothing_keeps_nothing(write, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("not a folder")
    assert draw_page(write(make_pdf(shown("One"))), 1, "One").found == 1
