"""What is loaded from each format, what a document is called, and which files of a folder are documents."""

import hashlib
import html
import os
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest

from rag.errors import DamagedDocument, DocumentError, EncryptedDocument, NoText, UnsupportedFormat
from rag.load import discover, load

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "docs"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the public test documents are not at {DATA}")


def make_pdf(*pages, title=None):
    """A PDF with one line of text on each page; an empty string makes an empty page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, text in enumerate(pages):
        stream = zlib.compress(f"BT /F1 12 Tf 14 TL 72 720 Td ({text}) Tj ET".encode("latin-1"))
        resources = "/Resources<</Font<</F1 3 0 R>>>>"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents {5 + 2 * i} 0 R{resources}>>".encode()
        )
        objects.append(b"<</Filter/FlateDecode/Length %d>>stream\n" % len(stream) + stream + b"\nendstream")
    info = b""
    if title:
        objects.append(f"<</Title({title})>>".encode())
        info = b"/Info %d 0 R" % len(objects)
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n" % number + each + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (size, info, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def words(text):
    text = re.sub(r"<!--.*?-->", "", re.sub(r"\]\([^)]*\)", "]", html.unescape(text)), flags=re.DOTALL)
    return Counter(re.findall(r"\w+", text.replace("\\_", " ").replace("_", " ").lower()))


def recall(expected, found):
    wanted = words(expected)
    return (wanted & words(found)).total() / wanted.total() if wanted else 1.0


@needs_data
@pytest.mark.parametrize(
    ("folder", "least", "files"),
    [
        ("html", 0.98, 10),
        ("docx", 0.97, 10),
        ("md", 0.99, 10),
        ("pptx", 0.96, 5),
        ("xlsx", 0.95, 8),
        ("odf", 0.98, 4),
        ("csv", 1.0, 9),
    ],
)
def test_words_of_real_documents_are_kept(folder, least, files):
    recalls = []
    for path in sorted((DATA / folder / "sources").iterdir())[:: 2 if folder == "docx" else 1]:
        expected = DATA / folder / "groundtruth" / f"{path.name}.md"
        if expected.is_file():
            recalls.append(recall(expected.read_text(encoding="utf-8"), load(path).text))
    assert len(recalls) >= files
    assert sum(recalls) / len(recalls) >= least


@needs_data
def test_words_of_a_pdf_are_kept(write):
    expected = (DATA / "md" / "sources" / "wiki.md").read_text(encoding="ascii", errors="ignore")
    lines = [re.sub(r"[()\\\\]", " ", line) for line in expected.split("\n") if line.strip()]
    pages = [") Tj T* (".join(re.findall(r".{1,80}(?:\s|$)", line)) for line in lines]
    assert recall("\n".join(lines), load(write("wiki.pdf", make_pdf(*pages))).text) >= 0.99


@needs_data
def test_an_encrypted_pdf_says_so_and_one_with_an_owner_password_is_read():
    with pytest.raises(EncryptedDocument, match="password"):
        load(DATA / "small" / "onyx" / "encrypted.pdf")
    assert load(DATA / "small" / "onyx" / "owner_protected.pdf").text.strip()


def test_pdf_pages_are_segments_that_cover_the_text(write):
    document = load(write("paper.pdf", make_pdf("First page", "", "Third page", title="A paper")))
    assert document.text == "First page\n\n\n\nThird page"
    assert [segment.page for segment in document.segments] == [1, 2, 3]
    assert "".join(document.text[s.start : s.end] for s in document.segments) == document.text
    third = document.segments[2]
    assert document.text[third.start : third.end] == "Third page"
    assert (document.title, document.media_type) == ("A paper", "application/pdf")


def test_a_pdf_without_text_is_told_from_one_with(write):
    with pytest.raises(NoText, match="OCR"):
        load(write("scan.pdf", make_pdf("", "")))


def test_html_keeps_structure_and_leaves_scripts_styles_and_navigation_out(write):
    page = """<html><head><title>A  page</title><style>p {color: red}</style></head><body>
        <nav>Home | About</nav><div role="navigation">Menu</div><script>alert("x")</script><p hidden>secret</p>
        <h1>Heading</h1><p>Some snake_case &amp; more, <a href="/relative">inside</a> and
        <a href="https://example.org/">outside</a>.</p><img src="http://example.org/a.png" alt="A cat">
        <pre><code class="language-python">x = 1\n\ny = 2</code></pre>
        <table><tr><th>a</th><th>b</th></tr><tr><td rowspan="2">1</td><td>2</td></tr><tr><td>3</td></tr></table>"""
    document = load(write("page.html", page))
    assert document.title == "A page"
    assert "# Heading\n\nSome snake_case & more, inside and\n" in document.text.replace(" \n", "\n")
    assert "[outside](https://example.org/)" in document.text
    assert "A cat" in document.text
    assert "```python\nx = 1\n\ny = 2\n```" in document.text
    assert "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 1 | 3 |" in document.text
    for boilerplate in ("Home", "Menu", "alert", "color", "secret", "a.png"):
        assert boilerplate not in document.text


def test_a_long_main_element_stands_for_the_page(write):
    page = f"<body><div>Cookie notice</div><main><p>{'word ' * 60}</p></main></body>"
    assert "Cookie" not in load(write("page.htm", page)).text
    assert "Cookie" in load(write("short.htm", page.replace("word " * 60, "word"))).text


def test_markdown_is_kept_as_written_so_that_lines_are_the_files_own(write):
    text = '---\ntitle: "The manual"\n---\n\n# One\n\n![picture](http://example.org/x.png)\n'
    document = load(write("manual.md", text))
    assert document.text == text
    assert document.title == "The manual"
    assert load(write("plain.md", "Text\n\n## Setup ##\n")).title == "Setup"
    assert load(write("none.md", "Text\n")).title == "none.md"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Zażółć gęślą jaźń, 日本語"),
        ("utf-8-sig", "Straße"),
        ("utf-16", "Grüße, 日本語"),
        ("utf-16-le", "Plain words without a mark"),
        ("utf-16-be", "Plain words without a mark"),
        ("utf-32", "Straße"),
        ("cp1252", "A “naïve” café in Zürich, 10 €."),
        ("latin-1", "Müller wohnt in der Straße 5."),
        ("cp1251", "Привет, мир! Это текст на русском языке о погоде и природе."),
        ("shift_jis", "これは日本語の文章です。天気がいいですね。"),
    ],
)
def test_encodings_are_found_out(write, encoding, text):
    assert load(write("text.txt", text.encode(encoding))).text == text


def test_line_ends_are_normalised(write):
    assert load(write("dos.txt", b"one\r\ntwo\rthree\n")).text == "one\ntwo\nthree\n"


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
def test_an_empty_file_has_no_text(write, content):
    with pytest.raises(NoText):
        load(write("empty.txt", content))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.pdf", "a.docx"])
def test_a_file_that_is_not_what_its_name_says_is_damaged(write, name):
    with pytest.raises(DamagedDocument) as raised:
        load(write(name, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"))
    assert raised.value.source.endswith(name)
    assert "\n" not in str(raised.value)


def test_first_bytes_tell_where_the_name_does_not(write):
    assert load(write("paper", make_pdf("Hello"))).media_type == "application/pdf"
    assert load(write("page", "<!DOCTYPE html><p>Hello")).media_type == "text/html"
    assert load(write("README", "Hello")).media_type == "text/plain"


def test_an_office_file_behind_a_password_says_so(write):
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000 + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(EncryptedDocument):
        load(write("locked.docx", ole))


def test_source_is_the_path_as_given_so_that_names_under_two_roots_stay_apart(write, tmp_path, monkeypatch):
    write("a/docs/note.md", "one")
    write("b/docs/note.md", "two")
    monkeypatch.chdir(tmp_path)
    sources = [load(path).source for path in discover(["a/docs", "b/docs"])]
    assert sources == ["a/docs/note.md", "b/docs/note.md"]
    absolute = [load(path).source for path in discover([tmp_path / "a" / "docs", tmp_path / "b" / "docs"])]
    assert len(set(absolute)) == 2
    assert load("./a/docs/note.md").source == "a/docs/note.md"


def test_content_hash_is_of_the_files_bytes(write):
    path = write("a.txt", b"one\r\n")
    assert load(path).content_hash == hashlib.sha256(b"one\r\n").hexdigest()


def test_names_that_are_no_utf8_or_hold_line_breaks_give_one_printable_line(tmp_path):
    path = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9\nx.txt"))
    path.write_text("coffee")
    assert load(path).source == f"{tmp_path.as_posix()}/caf\\udce9\\nx.txt"


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_what_cannot_be_opened_is_an_error_of_that_path(tmp_path, name):
    with pytest.raises(DocumentError, match="loading"):
        load(tmp_path / name)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UnsupportedFormat, match="regular"):
        load(tmp_path / "pipe.txt")


def test_discover_walks_sorted_and_skips_hidden_and_build_folders(write, tmp_path):
    kept = ["a.md", "b/c.HTML", "b/d.txt", "z.pdf"]
    skipped = [".hidden.md", ".git/x.md", "node_modules/x.md", "__pycache__/x.txt", "env/pyvenv.cfg", "env/x.md"]
    for name in [*reversed(kept), *skipped, "movie.mp4", "b/data.bin"]:
        write(name, "x")
    found = discover([tmp_path])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == kept
    assert found.unsupported == 2


def test_discover_follows_no_link_out_of_the_folder_and_no_circle(write, tmp_path):
    write("outside/secret.md", "x")
    write("docs/a.md", "x")
    (tmp_path / "docs" / "escape.md").symlink_to(tmp_path / "outside" / "secret.md")
    (tmp_path / "docs" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "docs" / "circle").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "broken.md").symlink_to(tmp_path / "nothing.md")
    assert [path.name for path in discover([tmp_path / "docs"])] == ["a.md"]


def test_discover_yields_named_files_whatever_they_are_and_each_once(write, tmp_path):
    movie, note = write("movie.mp4", b"\0\0\0 ftyp"), write("note.md", "x")
    assert list(discover([movie, note, tmp_path])) == [movie, note]
    with pytest.raises(UnsupportedFormat, match=r"\.mp4 is not read.*\.docx"):
        load(movie)


def test_a_missing_path_is_left_to_load(tmp_path):
    (missing,) = discover([tmp_path / "missing"])
    with pytest.raises(DocumentError, match="No such file"):
        load(missing)
