"""The files in a ZIP archive are documents of their own; each failure is of one file alone."""

import hashlib
import io
import stat
import zipfile

import pytest

from rag.errors import DamagedDocument, DocumentLimit, EncryptedDocument, NoText, UnsupportedFormat
from rag.load import Limits, load, load_all
from rag.types import Document


def make_zip(*members, compression=zipfile.ZIP_DEFLATED):
    """An archive of pairs of a name (or ZipInfo) and its content."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return output.getvalue()


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def loaded(*members, limits=None, data=None):
        (tmp_path / "a.zip").write_bytes(make_zip(*members) if data is None else data)
        return list(load_all("a.zip", limits=limits or Limits()))

    return loaded


def test_each_member_is_a_document_of_its_own(loaded):
    found = loaded(("docs/one.md", "# One"), ("two.txt", "Zwei"), ("docs/", ""), ("src/run.py", "x = 1"))
    assert [(d.source, d.text, d.media_type) for d in found] == [
        ("a.zip!/docs/one.md", "# One", "text/markdown"),
        ("a.zip!/two.txt", "Zwei", "text/plain"),
        ("a.zip!/src/run.py", "x = 1", "text/x-python"),
    ]
    assert found[0].content_hash == hashlib.sha256(b"# One").hexdigest()
    assert found[0].title == "One"


def test_a_file_that_is_no_archive_is_one_document_or_one_error(tmp_path):
    (tmp_path / "a.md").write_text("# One")
    (tmp_path / "b.pdf").write_text("no PDF")
    assert list(load_all(tmp_path / "a.md")) == [load(tmp_path / "a.md")]
    (error,) = load_all(tmp_path / "b.pdf")
    assert isinstance(error, DamagedDocument)
    assert error.source == (tmp_path / "b.pdf").as_posix()
    (missing,) = load_all(tmp_path / "missing.md")
    assert "No such file" in str(missing)


def test_an_archive_of_a_version_to_come_is_unsupported(loaded):
    data = bytearray(make_zip(("a.md", "x")))
    data[data.find(b"PK\x01\x02") + 6] = 64
    (error,) = loaded(data=bytes(data))
    assert isinstance(error, UnsupportedFormat)
    assert "6.4" in str(error)


def test_load_says_that_an_archive_has_members(tmp_path):
    (tmp_path / "a.zip").write_bytes(make_zip(("a.md", "x")))
    with pytest.raises(UnsupportedFormat, match="load_all"):
        load(tmp_path / "a.zip")


def test_a_bad_member_is_an_error_of_itself_alone(loaded):
    found = loaded(("bad.pdf", "no PDF"), ("empty.txt", ""), ("data.bin", b"\0\1"), ("good.md", "good"))
    assert [type(each) for each in found] == [DamagedDocument, NoText, UnsupportedFormat, Document]
    assert [each.source for each in found][:2] == ["a.zip!/bad.pdf", "a.zip!/empty.txt"]
    assert str(found[0]).startswith("loading a.zip!/bad.pdf: ")


def test_hidden_files_and_build_folders_are_left_out(loaded):
    names = [".git/a.md", "__MACOSX/._a.md", "node_modules/a.md", "docs/.hidden.md", "a.md"]
    assert [each.source for each in loaded(*((name, "x") for name in names))] == ["a.zip!/a.md"]


def test_names_without_the_flag_for_utf8_are_read_as_such_where_they_can_be(loaded):
    data = make_zip(("Grxxe.md", "x")).replace(b"Grxxe.md", "Grü.md".encode() + b"x"[:0] + b"d")
    found = loaded(data=data.replace("Grü.mdd".encode(), "Grüe.md".encode()))
    assert found[0].source == "a.zip!/Grüe.md"


def test_a_changed_member_is_damaged(loaded):
    data = bytearray(make_zip(("a.txt", "first"), ("b.txt", "second"), compression=zipfile.ZIP_STORED))
    data[data.index(b"first")] ^= 1
    first, second = loaded(data=bytes(data))
    assert isinstance(first, DamagedDocument)
    assert second.text == "second"


@pytest.mark.parametrize("size", [0, 3, 30, -30])
def test_a_cut_archive_is_one_error(loaded, size):
    (error,) = loaded(data=make_zip(("a.txt", "first" * 100))[:size])
    assert isinstance(error, DamagedDocument)
    assert error.source == "a.zip"


def test_an_encrypted_member_needs_a_password(loaded):
    data = bytearray(make_zip(("a.txt", "first"), ("b.txt", "second")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    first, second = loaded(data=bytes(data))
    assert isinstance(first, EncryptedDocument)
    assert second.text == "second"


def test_a_packing_that_is_not_read_is_unsupported(loaded):
    data = bytearray(make_zip(("a.txt", "first"), ("b.txt", "second")))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(mark) + offset] = 99
    first, second = loaded(data=bytes(data))
    assert isinstance(first, UnsupportedFormat)
    assert second.text == "second"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_read(loaded, compression):
    assert loaded(data=make_zip(("a.txt", "first"), compression=compression))[0].text == "first"


def test_two_members_of_one_name_are_one_document_and_one_error(loaded, recwarn):
    first, second = loaded(("a.md", "first"), ("./a.md", "second"))
    assert first.text == "first"
    assert isinstance(second, DamagedDocument)
    assert "same name" in str(second)


def test_archives_in_archives_are_opened_two_levels_deep(loaded):
    data = make_zip(("deep.md", "level 3"))
    for level in (2, 1):
        data = make_zip(("in.zip", data), (f"{level}.md", f"level {level}"))
    found = loaded(("in.zip", data), ("0.md", "level 0"))
    texts = {each.source: each.text for each in found if isinstance(each, Document)}
    assert texts == {
        "a.zip!/in.zip!/in.zip!/2.md": "level 2",
        "a.zip!/in.zip!/1.md": "level 1",
        "a.zip!/0.md": "level 0",
    }
    (error,) = [each for each in found if not isinstance(each, Document)]
    assert isinstance(error, DocumentLimit)
    assert error.source == "a.zip!/in.zip!/in.zip!/in.zip"


def test_a_broken_archive_in_an_archive_is_an_error_of_itself_alone(loaded):
    broken, good = loaded(("in.zip", b"PK\x03\x04 and no more"), ("a.md", "good"))
    assert (type(broken), broken.source) == (DamagedDocument, "a.zip!/in.zip")
    assert good.text == "good"


def link(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(loaded, kind):
    refused, good = loaded((link("a.md", kind | 0o777), "/etc/passwd"), ("b.md", "good"))
    assert isinstance(refused, UnsupportedFormat)
    assert "link or a device" in str(refused)
    assert good.text == "good"


def test_more_members_than_the_limit_are_an_error_and_so_are_more_in_all(loaded):
    many = [(f"{n}.md", "x") for n in range(5)]
    assert [type(each) for each in loaded(*many, limits=Limits(members=4))] == [DocumentLimit]
    inner = make_zip(*many)
    found = loaded(("in.zip", inner), limits=Limits(members=5))
    assert [type(each) for each in found] == [Document] * 4 + [DocumentLimit]
    assert found[-1].source == "a.zip!/in.zip"


def test_batches_hand_out_every_member_once(loaded, monkeypatch):
    monkeypatch.setattr("rag.load.archive.BATCH", 250)
    found = loaded(*((f"{n}.txt", f"{n} " + "x" * 99) for n in range(20)))
    assert [each.text.split()[0] for each in found] == [str(n) for n in range(20)]
