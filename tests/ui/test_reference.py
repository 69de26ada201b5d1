import os
import subprocess
import sys
from pathlib import Path

from ui.cli import reference

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_commands_say():
    run = subprocess.run(
        [sys.executable, "-m", "ui.cli.reference", "--check"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "40"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_a_stale_page_is_noticed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "TARGET", tmp_path / "docs" / "cli.md")
    monkeypatch.setattr(sys, "argv", ["reference", "--check"])
    assert reference.main() == 1
    assert "python -m ui.cli.reference" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["reference"])
    assert reference.main() == 0
    monkeypatch.setattr(sys, "argv", ["reference", "--check"])
    assert reference.main() == 0


def test_the_page_names_every_command_code_and_chat_command():
    page = reference.render()
    headings = {line for line in page.splitlines() if line.startswith("### ")}
    assert {"### hearth", "### hearth ask", "### hearth kb", "### hearth kb documents", "### hearth doctor"} <= headings
    assert "| 3 | `hearth ask`" in page
    assert "| `/open N` |" in page
    assert max(len(line) for line in page.splitlines()) <= 120
