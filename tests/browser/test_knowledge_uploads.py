"""Uploads: names that are ours, places below one folder, bounds; what is refused is told file by file."""

import re
from dataclasses import dataclass

import pytest

from decoder.errors import ServiceError, UsageError
from ui.browser.knowledge_uploads import (
    EXAMPLE,
    clean_name,
    keep,
    keep_each,
    remove_upload,
    remove_uploads,
    shown_name,
    uploads_folder,
)


@dataclass
class File:
    name: str
    data: bytes = b"Some words."

    @property
    def size(self):
        return len(self.data)

    def getvalue(self):
        return self.data


HOSTILE = [
    "../../etc/passwd.txt",
    "..\\..\\boot.txt",
    "/etc/shadow.md",
    "C:\\Windows\\win.txt",
    "a\0b.txt",
    "a\nb\r.txt",
    "...hidden.txt",
    ".env.txt",
    "CON.txt",
    "com1",
    "nul.md",
    "x" * 300 + ".pdf",
    "\U00010330" * 200 + ".md",
    "a.txt\u202efdp.exe.txt",
    "..\u2215..\u2044up.txt",
    "\uff0e\uff0e\uff0fwide.txt",
    "a;rm -rf ~;.txt",
    "<script>alert(1)<.script>.md",
    "\udc80broken.txt",
    "-rf.txt",
    "~root.txt",
    "%2e%2e%2fup.txt",
    "a.txt:stream.txt",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_becomes_a_harmless_one(home, name):
    [path] = keep([File(name)], "kb")
    assert path.read_bytes() == b"Some words."
    assert path.parent.parent == uploads_folder() / "kb"
    assert re.fullmatch(r"[0-9a-f]{8}", path.parent.name)
    assert re.fullmatch(r"[\w.-]{1,80}", path.name)
    assert not path.name.startswith((".", "-"))
    assert ".." not in path.name
    assert path.suffix in ("", ".txt", ".md", ".pdf")
    assert sorted(uploads_folder().rglob("*")) == [path.parent.parent, path.parent, path]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("report 2024 (final).pdf", "report_2024__final_.pdf"),
        ("Übersicht.docx", "Übersicht.docx"),
        ("docs/sub/README.md", "docs-sub-README.md"),
        ("Makefile", "Makefile"),
        ("CON.txt", "_CON.txt"),
        ("Console.txt", "Console.txt"),
        ("...", "file"),
        ("y" * 300 + ".tar.zip", "y" * 76 + ".zip"),
    ],
)
def test_a_name_is_kept_as_far_as_it_is_harmless(name, cleaned):
    assert clean_name(name) == cleaned
    assert clean_name(cleaned) == cleaned


def test_what_cannot_be_read_is_refused_with_a_sentence_and_the_rest_is_kept(home, monkeypatch):
    monkeypatch.setenv("HEARTH_UI_MAX_UPLOAD_MB", "1")
    files = [
        File("good.md"),
        File("empty.txt", b""),
        File("tool.exe", b"MZ\0\0"),
        File("big.txt", b"x" * 1_000_001),
        File("NOTES"),
        File("broken.pdf", b"no pdf at all"),
    ]
    kept = keep_each(files, "kb")
    assert [path.name for path in kept.paths] == ["good.md", "NOTES", "broken.pdf"]
    assert dict(kept.refused) == {
        "empty.txt": "It is empty.",
        "tool.exe": "Hearth does not read .exe.",
        "big.txt": "It is larger than 1 MB.",
    }


def test_the_number_of_files_is_bounded(home, monkeypatch):
    monkeypatch.setenv("HEARTH_UI_MAX_UPLOADS", "2")
    kept = keep_each([File(f"{number}.md") for number in range(4)], "kb")
    assert [path.name for path in kept.paths] == ["0.md", "1.md"]
    assert kept.refused == (
        ("2.md", "At most 2 files are taken in at once."),
        ("3.md", "At most 2 files are taken in at once."),
    )


def test_when_nothing_can_be_kept_it_says_why(home):
    with pytest.raises(UsageError, match=r"tool\.exe: Hearth does not read \.exe"):
        keep([File("tool.exe", b"MZ\0\0")], "kb")


def test_the_same_file_takes_its_old_place_and_a_new_version_replaces_it(home):
    [first] = keep([File("a.md", b"one")], "kb")
    written = first.stat().st_mtime_ns
    assert keep([File("a.md", b"one")], "kb") == [first]
    assert first.stat().st_mtime_ns == written
    assert keep([File("a.md", b"two")], "kb") == [first]
    assert first.read_bytes() == b"two"


def test_names_that_look_alike_when_cleaned_do_not_replace_each_other(home):
    paths = keep([File("a b.md", b"one"), File("a_b.md", b"two"), File("x/a b.md", b"three")], "kb")
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three"]
    assert [path.name for path in paths] == ["a_b.md", "a_b.md", "x-a_b.md"]


def test_hidden_files_and_folders_of_tools_in_a_folder_are_left_out(home):
    files = [File("p/a.md"), File("p/.git/config.txt"), File("p/.env"), File("p/node_modules/x/readme.md")]
    kept = keep_each(files, "kb")
    assert [path.name for path in kept.paths] == ["p-a.md"]
    assert kept.skipped == 3


def test_a_knowledge_base_with_an_impossible_name_has_no_place(home):
    with pytest.raises(UsageError):
        keep([File("a.md")], "../kb")


def test_people_see_the_files_own_name(home):
    [path] = keep([File("a b.zip", b"PK\x03\x04")], "kb")
    assert shown_name(str(path)) == "a_b.zip"
    assert shown_name(f"{path}!/inner/c.md") == "a_b.zip!/inner/c.md"
    assert shown_name(f"{EXAMPLE}/01-getting-started.md") == "01-getting-started.md"
    assert shown_name("/somewhere/notes.md") == "/somewhere/notes.md"
    assert shown_name("https://example.org/a") == "https://example.org/a"


def test_an_upload_is_removed_and_nothing_else_ever_is(home, tmp_path):
    [path] = keep([File("a.md")], "kb")
    [other] = keep([File("a.md")], "other")
    outside = tmp_path / "outside.md"
    outside.write_text("mine")
    for source in (
        str(outside),
        f"{path.parent}/../../../outside.md",
        str(other),
        f"{path}!/member.md",
        f"{path.parent}/.a.md",
        "https://example.org/a.md",
    ):
        assert not remove_upload(source, "kb")
    assert outside.exists()
    assert other.exists()
    assert remove_upload(str(path), "kb")
    assert not path.parent.exists()
    remove_uploads("other")
    assert not other.exists()


def test_uploads_leave_room_on_the_disk_and_nothing_half_written(home, monkeypatch):
    from collections import namedtuple

    from ui.browser import knowledge_uploads

    monkeypatch.setattr(knowledge_uploads.shutil, "disk_usage", lambda place: namedtuple("D", "free")(256_000_005))
    with pytest.raises(ServiceError, match="No space left"):
        keep([File("a.txt", b"more than five bytes")], "kb")
    assert not [file for file in uploads_folder().rglob("*") if file.is_file()]


def test_two_tabs_that_upload_one_name_do_not_mix_their_bytes(home, monkeypatch):
    """What one has half written is no file of the other's."""
    from pathlib import Path

    second, write = [], Path.write_bytes

    def slowly(self, data):
        written = write(self, data)
        if not second:
            second.append(True)
            keep([File("a.txt", b"two")], "kb")
        return written

    monkeypatch.setattr(Path, "write_bytes", slowly)
    [path] = keep([File("a.txt", b"one")], "kb")
    assert path.read_bytes() == b"one"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
