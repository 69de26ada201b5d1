"""Hostile documents: nothing is fetched, expanded, written or run, and no file is read but the one given."""

import io
import os
import socket
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.load import Limits, load, process, worker
from rag.load.process import PARSING

ROOT = Path(process.__file__).parents[2]
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
P = "http://schemas.openxmlformats.org/package/2006"
TEXT = "<w:p><w:r><w:t>Hello</w:t></w:r></w:p>"


def make_docx(body=TEXT, prolog="", extra=()):
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{P}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{P}/relationships"><Relationship Id="r1" Type="{R}/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'{prolog}<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>',
        **dict(extra),
    }
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return output.getvalue()


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def listener():
    """A server that nobody may call: it counts who does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        calls, over = [], threading.Event()

        def accept():
            while not over.is_set():
                try:
                    calls.append(server.accept()[0].close())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        over.set()
        thread.join(5)


def test_references_are_never_fetched(write, listener):
    url, calls = listener
    page = f"""<link rel=stylesheet href="{url}/a.css"><base href="{url}"><p>Hello<img src="{url}/a.png">
        <iframe src="{url}/f"></iframe><object data="{url}/o"></object><script src="{url}/a.js"></script>"""
    relationships = f"""<Relationships xmlns="{P}/relationships">
        <Relationship Id="p" Type="{R}/image" Target="{url}/a.png" TargetMode="External"/>
        <Relationship Id="t" Type="{R}/attachedTemplate" Target="{url}/t.dotm" TargetMode="External"/>
        </Relationships>"""
    assert "Hello" in load(write("page.html", page)).text
    assert "Hello" in load(write("page.md", f"Hello ![x]({url}/a.png)")).text
    linked = make_docx(TEXT + linked_picture("p"), extra={"word/_rels/document.xml.rels": relationships}.items())
    assert "Hello" in load(write("linked.docx", linked)).text
    doctype = f'<!DOCTYPE html SYSTEM "{url}/x.dtd" [<!ENTITY e SYSTEM "{url}/e">]><html><p>Hello &e;'
    assert "Hello" in load(write("page.xhtml", doctype)).text
    assert calls == []


def linked_picture(relationship):
    a = "http://schemas.openxmlformats.org/drawingml/2006"
    return (
        f'<w:p><w:r><w:drawing><wp:inline xmlns:wp="{a}/wordprocessingDrawing"><a:graphic xmlns:a="{a}/main">'
        f'<a:graphicData><pic:pic xmlns:pic="{a}/picture"><pic:blipFill><a:blip xmlns:r="{R}" r:link="{relationship}"/>'
        "</pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )


def test_a_linked_picture_does_not_read_a_file(write, tmp_path):
    (tmp_path / "secret.txt").write_text("top secret")
    target = (tmp_path / "secret.txt").as_uri()
    relationships = (
        f'<Relationships xmlns="{P}/relationships">'
        f'<Relationship Id="p" Type="{R}/image" Target="{target}" TargetMode="External"/></Relationships>'
    )
    linked = make_docx(TEXT + linked_picture("p"), extra={"word/_rels/document.xml.rels": relationships}.items())
    text = load(write("linked.docx", linked)).text
    assert "Hello" in text
    assert "secret" not in text
    assert "data:" not in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "entity", ['<!ENTITY e SYSTEM "file:///etc/passwd">', '<!ENTITY a "aaaaaaaaaa"><!ENTITY e "&a;&a;&a;&a;&a;&a;">']
)
def test_entities_of_office_files_are_refused_in_any_encoding(write, entity, encoding):
    prolog = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [{entity}]>'
    body = f'{prolog}<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>&e;</w:t></w:r></w:p></w:body></w:document>'
    hostile = make_docx(extra={"word/document.xml": body.encode(encoding)}.items())
    with pytest.raises(DamagedDocument, match="declares a document type"):
        load(write("entities.docx", hostile))


def test_entities_of_html_are_not_expanded(write):
    page = '<!DOCTYPE html [<!ENTITY e SYSTEM "file:///etc/passwd">]><p>Hello &e;</p>'
    assert "root:" not in load(write("page.html", page)).text


def test_a_zip_bomb_is_a_limit(write):
    bomb = make_docx(TEXT, prolog=" " * (129 << 20))
    assert len(bomb) < 1 << 20
    with pytest.raises(DocumentLimit, match="unpack"):
        load(write("bomb.docx", bomb))


def test_a_pdf_stream_bomb_is_a_limit(write):
    once = zlib.compressobj(9)
    stream = b"".join([*(once.compress(b" " * (1 << 20)) for _ in range(256)), once.flush()])
    stream = zlib.compress(stream, 9)
    bomb = (
        b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\n"
        b"endobj\n3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>\nendobj\n4 0 obj\n"
        b"<</Filter[/FlateDecode/FlateDecode]/Length "
        + str(len(stream)).encode()
        + b">>stream\n"
        + stream
        + b"\nendstream\nendobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF"
    )
    assert len(bomb) < 1 << 14
    with pytest.raises(DocumentLimit):
        load(write("bomb.pdf", bomb), limits=Limits(memory=64 << 20))


@pytest.mark.parametrize(
    "hostile",
    [
        "<div>" * 20_000 + "text",
        "<table>" + "<tr>" + "<td colspan=99999999 rowspan=99999999>x</td>" * 5 + "</tr><tr></tr>" * 50,
        "<!--" + "-" * 1_000_000,
        "<p " + "a=b " * 100_000 + ">text",
    ],
)
def test_hostile_html_ends_as_text_or_as_a_typed_error(write, hostile):
    try:
        assert len(load(write("hostile.html", hostile), limits=Limits(seconds=8)).text) < 5_000_000
    except DocumentError as error:
        assert str(error).startswith("loading ")


def test_a_link_that_leads_out_of_the_root_is_refused_by_load_too(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "docs" / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DocumentError, match="leads out"):
        load(tmp_path / "docs" / "link.txt", root=tmp_path / "docs")
    assert load(tmp_path / "docs" / "link.txt").text == "secret"


def test_the_child_sees_no_secret_of_the_environment(write, monkeypatch):
    PARSING.close()
    monkeypatch.setenv("HEARTH_DECODER_API_KEY", "sk-secret")
    load(write("a.txt", "Hello"))
    assert b"sk-secret" not in Path(f"/proc/{PARSING._child.pid}/environ").read_bytes()
    PARSING.close()


ATTEMPTS = {
    "network": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "name look-up": "import socket; socket.getaddrinfo('localhost', 80)",
    "process": "import subprocess; subprocess.run(['true'])",
    "shell": "import os; os.system('true')",
    "fork": "import os; os.fork()",
    "written file": "open('/tmp/never-written', 'w')",
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_parser_that_is_taken_over_reaches_nothing(attempt):
    program = f"import sys\nfrom rag.load import worker\nsys.addaudithook(worker._reach_nothing)\n{attempt}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, timeout=60)
    assert b"PermissionError: a parser tried" in done.stderr


def test_a_reply_that_is_too_long_or_nonsense_is_refused():
    with pytest.raises(ValueError, match="a frame of"):
        worker.read_frame(io.BytesIO(b"\xff\xff\xff\xff"))
    assert worker.read_frame(io.BytesIO(b"\0\0\0\x09{}")) == {}
    with pytest.raises(DamagedDocument):
        process._parsed({"pages": [1], "title": ""}, "loading x", "x")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from([".txt", ".md", ".html", ".pdf", ".docx", ""]), content=st.data())
def test_any_bytes_are_a_document_or_a_typed_error(tmp_path, suffix, content):
    starts = {".pdf": b"%PDF-1.7\n", ".docx": make_docx()[:400], ".html": b"<table><tr><td rowspan=2>"}
    path = tmp_path / f"any{suffix}"
    path.write_bytes(starts.get(suffix, b"") + content.draw(st.binary(max_size=300)))
    try:
        text = load(path, limits=Limits(seconds=10)).text
    except DocumentError as error:
        assert "\n" not in str(error)
        assert error.source == path.as_posix()
    else:
        assert text.strip()
        assert "\0" not in text
        text.encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), value=st.integers(0, 255))
def test_a_docx_with_one_byte_changed_is_a_document_or_a_typed_error(tmp_path, where, value):
    content = bytearray(make_docx())
    content[int(where * (len(content) - 1))] = value
    path = tmp_path / "changed.docx"
    path.write_bytes(content)
    try:
        load(path, limits=Limits(seconds=10))
    except DocumentError as error:
        assert error.source == os.fspath(path)
