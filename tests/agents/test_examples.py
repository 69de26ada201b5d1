"""The examples run as a user runs them: as programs, on their scripts, and on a real model."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("ten_lines", "research_with_citations", "guarded_mail", "team", "resume", "mcp_notes")
SCRIPTED = "(No decoder: what it would say is read from the script in this file.)"


@pytest.fixture
def run(tmp_path):
    """run(name, *options) -> what it prints, without any decoder in the settings."""

    def run(name, *options, fails=""):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HEARTH_")}
        done = subprocess.run(
            [sys.executable, "-W", "error", f"examples/{name}.py", *options],
            cwd=ROOT,
            env={**kept, "HEARTH_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0 or (fails and fails in done.stderr), done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_is_short_and_says_what_it_is(name):
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert ast.get_docstring(ast.parse(text))


def test_an_agent_in_ten_lines(run):
    first, answer, ended = run("ten_lines").splitlines()
    assert first == SCRIPTED
    assert answer == "It snows in Oslo today, at -4 °C."
    assert ended.startswith("Ended by: answer. Steps: 2, ")


def test_research_tells_the_places_it_saw_from_those_it_invented(run):
    pytest.importorskip("qdrant_edge", reason="the knowledge base is in the rag extra")
    printed = run("research_with_citations")
    assert SCRIPTED in printed
    assert "knowledge_search 'licence of Hearth'" in printed
    assert "02-chat-commands.html: it was shown this" in printed
    assert "05-questions.txt: it was shown this" in printed
    assert "99-invented.txt: NOT shown" in printed


def test_the_mails_orders_are_refused_and_the_users_are_carried_out(run):
    printed = run("guarded_mail")
    assert "asked about a mail to thief@example.net: refused" in printed
    assert "asked about a mail to ann@example.org: approved" in printed
    assert printed.endswith("Sent: [('ann@example.org', 'Yes, Friday at noon.')]\n")


def test_the_team_works_and_its_cost_is_one(run):
    printed = run("team")
    assert "trains used fare: 89" in printed
    assert "rooms used room: 140" in printed
    assert "229 euros in all." in printed
    assert "All three together: 4 calls of tools" in printed


def test_what_was_paid_before_the_kill_is_not_paid_again(run):
    printed = run("resume")
    assert "The first process ended with -9. Paid: ['A', 'B']" in printed
    assert printed.endswith("Resumed: A, B and C are paid. Paid: ['A', 'B', 'C']\n")


def test_notes_of_another_process_are_read_by_mcp(run):
    pytest.importorskip("mcp", reason="mcp is in the agents extra")
    printed = run("mcp_notes")
    assert "The server offers list_notes, read_note." in printed
    assert "read_note: The rent is due on the 3rd of each month." in printed
    assert printed.endswith("The rent is due on the 3rd.\n")


def test_a_decoder_that_is_named_takes_the_scripts_place(run, tiny_llama):
    # With random weights a run ends by whatever comes first, the model's small context among it.
    printed = run("ten_lines", "--embedded", str(tiny_llama), fails="ContextOverflow")
    assert SCRIPTED not in printed
    assert SCRIPTED in run("ten_lines", "--embedded", str(tiny_llama), "--scripted")
    assert run("ten_lines", "--embedded", "nowhere", fails="nowhere is not a folder") == ""
