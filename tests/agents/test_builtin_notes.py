"""Writing notes: new files in one folder, under names that are made of their titles and lead nowhere else."""

import pytest

from agents import Policy
from agents.builtin import write_note
from agents.builtin.notes import note_name
from agents.errors import ToolError


def ask(made, **arguments):
    return made(**made.validate(arguments))


def test_a_note_is_a_file_of_its_owner_alone(tmp_path):
    said = ask(write_note(tmp_path / "notes"), title="Shopping list", text="Milk.\n")
    kept = tmp_path / "notes" / "shopping-list.md"
    assert said == "Saved as shopping-list.md"
    assert kept.read_text() == "Milk.\n"
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("title", ["../../etc/passwd", "/etc/passwd", ".bashrc", "a\0b", "..", "x" * 200, "~/.ssh/id"])
def test_no_title_leads_out_of_the_folder(tmp_path, title):
    made = write_note(tmp_path / "notes")
    try:
        ask(made, title=title, text="x")
    except ValueError as error:
        assert "no letters" in str(error)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert all(file.parent == tmp_path / "notes" and not file.name.startswith(".") for file in written)


def test_a_note_that_is_there_is_not_changed_nor_a_link_followed(tmp_path):
    outside = tmp_path / "outside.md"
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "plan.md").symlink_to(outside)
    with pytest.raises(ValueError, match=r"plan\.md already"):
        ask(write_note(notes), title="Plan", text="mine")
    assert not outside.exists()


def test_a_full_folder_takes_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.builtin.notes.MOST_NOTES", 1)
    made = write_note(tmp_path)
    ask(made, title="one", text="x")
    with pytest.raises(ValueError, match="the most"):
        ask(made, title="two", text="x")


def test_too_long_a_note_is_refused_before_it_is_written(tmp_path):
    with pytest.raises(ValueError, match="text"):
        write_note(tmp_path).validate({"title": "long", "text": "x" * 50_001})


def test_names_keep_letters_of_any_language():
    assert note_name("Grüße an_Ćiro: 2. Teil!") == "grüße-an-ćiro-2-teil.md"
    assert len(note_name("ж" * 200).encode()) <= 63


def test_it_writes_and_so_a_policy_may_ask():
    assert Policy().decide(write_note("/nowhere"), untrusted=True).verdict == "ask"
    assert Policy(ask_for={"write"}).decide(write_note("/nowhere"), untrusted=False).verdict == "ask"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match="no folder"):
        write_note(tmp_path / "file")
