"""Archives: names that lead elsewhere, bombs, and bytes of any kind."""

import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.load import Limits, load_all
from rag.types import Document

TRAVERSALS = [
    "../a.md", "../../a.md", "../../../../../../etc/passwd", "docs/../../a.md", "docs/../a.md", "./../a.md", "..",
    "../", "docs/..", "..\\a.md", "..\\..\\a.md", "docs\\..\\..\\a.md", "docs/..\\a.md", "..\\/a.md", "/a.md",
    "//a.md", "/etc/passwd", "///etc/passwd", "\\a.md", "\\\\server\\share\\a.md", "//server/share/a.md",
    "\\\\?\\C:\\a.md", "\\\\.\\pipe\\a", "C:\\a.md", "C:/a.md", "c:a.md", "C:..\\a.md", "z:/../a.md",
    "file:///etc/passwd", "file:/etc/passwd", "http://example.org/a.md", "zip:/a.md", "~/a.md", "~root/a.md",
    "%2e%2e/a.md", "%2e%2e%2fa.md", "..%2fa.md", "..%5ca.md", "%2E%2E%5Ca.md", "%252e%252e%252fa.md",
    "%25252e%25252e/a.md", "%2fetc/passwd", "%5cetc/a.md", "%c0%ae%c0%ae/a.md", "..%c0%afa.md", "%2e./a.md",
    "．．/a.md", "..／a.md", "..＼a.md", "．．＼a.md", "..∕a.md", "..⁄a.md", "..⧸a.md", "..∖a.md", "‥/a.md",
    ".. /a.md", " ../a.md", "..\u00a0/a.md", "...../a.md", ".../a.md", "..../a.md", ". ./a.md", "..;/a.md",
    "docs/..;/a.md", ".\u200b./a.md", "\u200b../a.md", "..\u2060/a.md", "\ufeff/a.md", "a\n../b.md", "..\t/a.md",
    "a\0.md", "../a.md\0.md", "a\r.md", "a\x1b[2J.md", "a\u202egpj.md", "a\u2028.md", "a\x7f.md", "", " ",
    "a/" * 600 + "b.md",
]  # fmt: skip


def make_zip(*members, compression=zipfile.ZIP_DEFLATED):
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return output.getvalue()


def raw_name(name):
    """A member whose name is written as it is: ZipInfo would cut it at a NUL and turn some slashes."""
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    return info


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def loaded(data, limits=None):
        (tmp_path / "a.zip").write_bytes(data)
        return list(load_all("a.zip", limits=limits or Limits()))

    return loaded


def test_there_are_enough_of_them():
    assert len(set(TRAVERSALS)) >= 60


@pytest.mark.parametrize("name", TRAVERSALS, ids=ascii)
def test_a_name_that_leads_elsewhere_is_refused_and_the_next_file_is_read(loaded, tmp_path, name):
    found = loaded(make_zip((raw_name(name), "hostile"), ("good.md", "good")))
    documents = [each for each in found if isinstance(each, Document)]
    assert [(each.source, each.text) for each in documents] == [("a.zip!/good.md", "good")]
    errors = [each for each in found if isinstance(each, DocumentError)]
    if not name.endswith("/"):  # a folder holds nothing that could be read
        (error,) = errors
        assert isinstance(error, DamagedDocument)
        assert "name" in error.cause
        assert error.source.startswith("a.zip!/")
        assert error.source.isprintable()
        assert "\n" not in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    "name",
    [
        "a..b.md",
        "a...md",
        "v1.2../a.md",
        "10:30.md",
        "50%.md",
        "a%20b.md",
        "é/ü.md",
        "👩‍🔬.md",
        "a/~b.md",
    ],
)
def test_odd_names_that_lead_nowhere_are_kept(loaded, name):
    (document,) = loaded(make_zip((name, "good")))
    assert document.text == "good"


def test_a_member_that_unpacks_to_more_than_its_share_is_a_limit_of_itself_alone(loaded):
    bomb, good = loaded(make_zip(("bomb.txt", b"a" * (32 << 20)), ("good.md", "good")))
    assert isinstance(bomb, DocumentLimit)
    assert "200 times" in str(bomb)
    assert good.text == "good"


def test_a_member_that_is_too_large_is_a_limit_of_itself_alone(loaded):
    bomb, good = loaded(make_zip(("a.txt", "ab" * 600), ("good.md", "good")), Limits(file_size=1000))
    assert isinstance(bomb, DocumentLimit)
    assert good.text == "good"


def test_many_small_bombs_together_are_a_limit(loaded):
    one = make_zip(("a.txt", b"a" * 1_000_000))
    found = loaded(make_zip(*((f"{n}.zip", one) for n in range(20))), Limits(unpacked=5_000_000))
    assert len([each for each in found if isinstance(each, Document)]) == 4
    assert isinstance(found[-1], DocumentLimit)
    assert "4 MiB" in str(found[-1])


def test_members_that_share_their_bytes_are_no_bomb(loaded):
    """All entries of the directory point to one member: as small a file as one likes would unpack to terabytes."""
    data = make_zip(("a.txt", bytes(range(32, 127)) * 1000), compression=zipfile.ZIP_DEFLATED)
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = data[at:end] * 300
    tail = bytearray(data[end:])
    tail[8:10] = tail[10:12] = (300).to_bytes(2, "little")
    tail[12:16] = len(entries).to_bytes(4, "little")
    found = loaded(data[:at] + entries + bytes(tail), Limits(unpacked=2_000_000))
    assert len([each for each in found if isinstance(each, Document)]) <= 21
    assert any(isinstance(each, DocumentError) for each in found)


def test_a_size_that_is_a_lie_is_damaged(loaded):
    data = bytearray(make_zip(("a.txt", "first" * 100)))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    (error,) = loaded(bytes(data))
    assert isinstance(error, DamagedDocument)


def test_a_directory_of_a_million_entries_is_a_limit(loaded):
    data = make_zip(("a.txt", "x"), compression=zipfile.ZIP_STORED)
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = data[at:end] * 1_000_000
    tail = bytearray(data[end:])
    tail[8:10] = tail[10:12] = b"\xff\xff"
    tail[12:16] = len(entries).to_bytes(4, "little")
    (error,) = loaded(data[:at] + entries + bytes(tail))
    assert isinstance(error, DocumentLimit)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_archive_is_documents_and_typed_errors(tmp_path, data):
    content = bytearray(make_zip(("a.md", "text"), ("b/c.txt", b"more"), ("in.zip", make_zip(("d.md", "deep")))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "any.zip"
    path.write_bytes(bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))]))
    for each in load_all(path, limits=Limits(seconds=10)):
        assert isinstance(each, (Document, DocumentError))
        assert each.source.startswith(path.as_posix())
