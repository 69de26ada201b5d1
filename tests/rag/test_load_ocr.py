"""Scanned PDFs and pictures are read by Tesseract where it is installed; else the error says what is missing."""

import io
import os
import re

import pytest
from PIL import Image, ImageDraw, ImageFont

from decoder.errors import SettingsError
from rag.errors import DamagedDocument, DocumentError, DocumentLimit, NoText
from rag.load import Limits, Reading, discover, load, load_all, ocr

needs_tesseract = pytest.mark.skipif(not ocr.available(), reason="Tesseract is not installed (tesseract-ocr)")
LINES = ("The warehouse opens at nine", "and closes at six o'clock.", "Deliveries go to gate four.")


def scan(lines=LINES, size=(900, 400), background="white", ink="black"):
    image = Image.new("RGB", size, background)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(44)
    for number, line in enumerate(lines):
        draw.text((60, 50 + 90 * number), line, fill=ink, font=font)
    return image


def saved(image, path, **options):
    image.save(path, **options)
    return path


def words(text):
    return re.findall(r"[a-z]+", text.lower())


EXPECTED = words(" ".join(LINES))


@needs_tesseract
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.tif", "a.webp", "a.bmp"])
def test_pictures_are_read(tmp_path, name):
    document = load(saved(scan(), tmp_path / name))
    assert words(document.text) == EXPECTED
    assert document.media_type.startswith("image/")
    assert document.metadata == {"ocr_pages": 1}
    assert document.title == name


@needs_tesseract
def test_a_scanned_pdf_is_read_page_by_page(tmp_path):
    pages = [scan((f"Page number {name}",), (900, 200)) for name in ("one", "two", "three")]
    path = saved(pages[0], tmp_path / "scan.pdf", save_all=True, append_images=pages[1:], resolution=150)
    document = load(path)
    assert [words(document.text[s.start : s.end])[-1] for s in document.segments] == ["one", "two", "three"]
    assert [segment.page for segment in document.segments] == [1, 2, 3]
    assert document.metadata["ocr_pages"] == 3


@needs_tesseract
def test_the_pages_of_a_tiff_are_pages(tmp_path):
    pages = [scan((f"Page number {name}",), (900, 200)) for name in ("one", "two")]
    document = load(saved(pages[0], tmp_path / "fax.tiff", save_all=True, append_images=pages[1:]))
    assert [words(document.text[s.start : s.end])[-1] for s in document.segments] == ["one", "two"]


@needs_tesseract
def test_turned_and_transparent_pictures_are_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise to see it upright
    assert (
        words(load(saved(scan().transpose(Image.Transpose.ROTATE_90), tmp_path / "t.jpg", exif=exif)).text) == EXPECTED
    )
    see_through = Image.new("RGBA", (900, 400), (0, 0, 0, 0))
    see_through.paste(scan(ink="black"), mask=scan(ink="white", background="black").convert("L"))
    assert words(load(saved(see_through, tmp_path / "a.png")).text) == EXPECTED


@needs_tesseract
def test_pictures_in_archives_are_read(tmp_path):
    import zipfile

    output = io.BytesIO()
    scan().save(output, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("scan.png", output.getvalue())
    (document,) = load_all(tmp_path / "a.zip")
    assert words(document.text) == EXPECTED


@needs_tesseract
def test_a_picture_without_letters_has_no_text(tmp_path):
    with pytest.raises(NoText, match=r"OCR .*found none"):
        load(saved(Image.new("RGB", (300, 300), "blue"), tmp_path / "a.png"))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_pictures_of_one_pixel_are_typed_errors(tmp_path, size):
    with pytest.raises(DocumentError):
        load(saved(Image.new("L", size), tmp_path / "a.png"))


@pytest.fixture
def without_tesseract(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.mark.parametrize(("name", "said"), [("a.pdf", "scanned, no text"), ("a.png", "a picture, no text")])
def test_without_tesseract_the_error_says_how_to_get_it(tmp_path, without_tesseract, name, said):
    with pytest.raises(NoText, match=f"{said}.*Install Tesseract"):
        load(saved(scan(), tmp_path / name))


@pytest.mark.parametrize("name", ["a.pdf", "a.png"])
def test_it_can_be_switched_off(tmp_path, monkeypatch, name):
    path = saved(scan(), tmp_path / name)
    with pytest.raises(NoText, match="OCR is off"):
        load(path, reading=Reading(ocr=False))
    monkeypatch.setenv("HEARTH_RAG_OCR", "off")
    with pytest.raises(NoText, match="HEARTH_RAG_OCR=auto"):
        load(path)


def test_pictures_in_folders_are_documents_where_they_can_be_read(tmp_path, monkeypatch, without_tesseract):
    picture = saved(scan(), tmp_path / "a.png")
    found = discover([tmp_path])
    assert (list(found), found.unsupported) == ([], 1)
    assert list(discover([picture])) == [picture]
    program(tmp_path / "bin", "true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert list(discover([tmp_path])) == [picture]
    monkeypatch.setenv("HEARTH_RAG_OCR", "off")
    assert list(discover([tmp_path])) == []


@needs_tesseract
def test_a_language_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(DocumentError, match="no language data for xyz") as raised:
        load(saved(scan(), tmp_path / "a.png"), reading=Reading(languages="xyz"))
    assert raised.value.source.endswith("a.png")


@pytest.mark.parametrize("languages", ["", "-c", "eng --help", "../eng", "eng+", "eng;ls", "--user-words=/etc/passwd"])
def test_languages_are_no_way_to_other_arguments(monkeypatch, tmp_path, languages):
    program(tmp_path / "bin", "echo ran")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(DocumentError, match="names no languages"):
        ocr.recognise(PICTURE, languages)


PICTURE = b"P5\n2 1\n255\n\0\xff"


def program(folder, script):
    """A program in Tesseract's place."""
    folder.mkdir(exist_ok=True)
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def in_its_place(monkeypatch, tmp_path):
    def in_its_place(script):
        program(tmp_path / "bin", script)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return in_its_place


def test_it_is_stopped_when_a_page_takes_too_long(in_its_place):
    in_its_place("exec sleep 30")
    with pytest.raises(DocumentLimit, match=r"more than 0\.5 seconds"):
        ocr.recognise(PICTURE, seconds=0.5)


def test_it_is_stopped_when_a_document_takes_too_long(in_its_place, tmp_path):
    in_its_place("exec sleep 30")
    with pytest.raises(DocumentLimit, match="more than 0"):
        load(saved(scan(), tmp_path / "a.png"), limits=Limits(recognition=0.3))
    with pytest.raises(DocumentLimit, match="more than 0 seconds"):
        load(saved(scan(), tmp_path / "a.png"), limits=Limits(recognition=0))


def test_it_sees_no_secret_and_writes_no_file(in_its_place, monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTH_RAG_PDF_PASSWORDS", "opensesame")
    in_its_place(f"env; echo written > {tmp_path}/written.txt; ulimit -v")
    text = ocr.recognise(PICTURE)
    assert "opensesame" not in text
    assert "OMP_THREAD_LIMIT=1" in text
    assert str(ocr.MEMORY >> 10) in text
    assert not (tmp_path / "written.txt").is_file() or not (tmp_path / "written.txt").read_text()


def test_its_crash_is_an_error_of_that_file(in_its_place, tmp_path):
    in_its_place("kill -SEGV $$")
    with pytest.raises(DocumentLimit, match="crashed"):
        load(saved(scan(), tmp_path / "a.png"))
    in_its_place("exit 3")
    with pytest.raises(DocumentError, match="status 3") as raised:
        load(saved(scan(), tmp_path / "a.png"))
    assert raised.value.source.endswith("a.png")


@pytest.mark.parametrize(
    "picture",
    [b"", b"P5\n2 1\n255\n\0", b"P5\n2 1\n255\n\0\0\0", b"P5\n99999 99999\n255\n", b"P5\n0 1\n255\n", b"\x89PNG\r\n"],
)
def test_only_a_plain_grey_picture_is_handed_over(in_its_place, picture):
    in_its_place("echo ran")
    with pytest.raises(DamagedDocument, match="cannot be drawn"):
        ocr.recognise(picture)
    assert ocr.recognise(PICTURE) == "ran"


def test_settings_are_checked_and_passwords_do_not_belong_in_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTH_RAG_OCR", "sometimes")
    with pytest.raises(SettingsError, match="auto, off"):
        load(saved(scan(), tmp_path / "a.png"))
    monkeypatch.delenv("HEARTH_RAG_OCR")
    (tmp_path / "hearth.toml").write_text("[rag]\npdf_passwords = 'opensesame'\n")
    monkeypatch.setenv("HEARTH_SETTINGS", str(tmp_path / "hearth.toml"))
    with pytest.raises(SettingsError, match="HEARTH_RAG_PDF_PASSWORDS") as raised:
        load(tmp_path / "a.png")
    assert "opensesame" not in str(raised.value)
