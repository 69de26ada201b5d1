"""Listing, reading and searching a folder. That it cannot be left is in tests/security/test_file_tool.py."""

import os
from pathlib import Path

import pytest

from agents.builtin import read_files
from agents.builtin.folder import FolderLimits
from agents.errors import ToolError

MANUAL = Path(__file__).parents[2] / "examples" / "manual"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "a.txt").write_text("".join(f"line {n}\n" for n in range(1, 501)))
    (tmp_path / "notes" / "b.md").write_text("# Title\nThe Needle is here.\n")
    (tmp_path / "notes" / "wide.txt").write_text("Grüße", encoding="utf-16")
    (tmp_path / "picture.bin").write_bytes(b"\x89PNG\0\0needle")
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    (tmp_path / ".env").write_text("KEY=needle")
    return tmp_path


def ask(made, **arguments):
    return made(**made.validate(arguments))


def test_a_listing_names_every_file_but_the_hidden(root):
    made = read_files(root)
    assert ask(made, action="list").splitlines() == [
        "a.txt (4,392 bytes)",
        "latin.txt (5 bytes)",
        "picture.bin (12 bytes)",
        "notes/b.md (28 bytes)",
        "notes/wide.txt (12 bytes)",
    ]
    assert ask(made, action="list", path="notes").splitlines()[0] == "notes/b.md (28 bytes)"


def test_names_cannot_break_a_listing(tmp_path):
    (tmp_path / "a\nb.txt").write_text("needle")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("needle")
    made = read_files(tmp_path)
    assert ask(made, action="list").splitlines() == ["a?b.txt (6 bytes)", "?.txt (6 bytes)"]
    assert ask(made, action="search", text="needle").splitlines() == ["a?b.txt:1: needle", "?.txt:1: needle"]


def test_a_file_is_read_in_parts(root):
    made = read_files(root)
    first = ask(made, action="read", path="a.txt")
    assert first.startswith("a.txt, lines 1 to 200 of 500\nline 1\n")
    assert first.endswith("[300 more lines: go on with start=201]")
    assert ask(made, action="read", path="a.txt", start=500) == "a.txt, lines 500 to 500 of 500\nline 500"
    assert ask(made, action="read", path="a.txt", start=900) == "a.txt has 500 lines."
    assert "Grüße" in ask(made, action="read", path="./notes/wide.txt")


def test_a_search_gives_file_and_line(root):
    made = read_files(root)
    assert ask(made, action="search", text="needle") == "notes/b.md:2: The Needle is here."
    assert ask(made, action="search", text="no such") == "Nothing was found."
    assert len(ask(made, action="search", text="line").splitlines()) == 51


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"action": "read", "path": "picture.bin"}, "no text"),
        ({"action": "read", "path": "latin.txt"}, "no text"),
        ({"action": "read", "path": "notes"}, "no file|cannot be opened"),
        ({"action": "read", "path": "missing"}, "there is no missing"),
        ({"action": "read"}, "is a folder"),
        ({"action": "list", "path": "a.txt"}, "where a folder should be"),
        ({"action": "search", "text": " "}, "the text to search for"),
    ],
)
def test_what_cannot_be_read(root, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        ask(read_files(root), **arguments)


def test_sizes_and_counts_are_bounded(root):
    made = read_files(root, FolderLimits(file_size=100, entries=2, files=1, matches=1))
    with pytest.raises(ValueError, match="more than 100 bytes"):
        ask(made, action="read", path="a.txt")
    assert ask(made, action="list").splitlines()[2] == "[More than 2 files: list a folder of them]"
    assert "The search stopped here" in ask(made, action="search", text="needle")


def test_documents_are_read_where_they_are_wanted():
    arguments = {"action": "read", "path": "03-knowledge-base.docx"}
    with pytest.raises(ValueError, match="no text"):
        ask(read_files(MANUAL), **arguments)
    assert "lines 1 to" in ask(read_files(MANUAL, documents=True), **arguments)


def test_the_root_is_a_folder(tmp_path):
    with pytest.raises(ToolError, match="no folder"):
        read_files(tmp_path / "missing")
