import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import ConnectFailed, UsageError
from rag.types import Answer, Citation, IndexReport
from ui.cli import output, rooms, wiring
from ui.cli.main import COMMANDS, load, main
from ui.text_cleaning import clean, clean_line

ROOT = Path(__file__).resolve().parents[2]
ATTACK = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m [bold]not bold[/bold] \x9b5n\u202eevil\r\b\x00"


def leaves():
    """Every command that runs something, with its path."""
    for name in COMMANDS:
        command = load(name)
        children = getattr(command, "commands", None)
        yield from ((f"{name} {word}", child) for word, child in children.items()) if children else [(name, command)]


LEAVES = dict(leaves())


# The table of commands


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_summaries_agrees_with_the_commands(name):
    assert load(name).get_short_help_str(200) == COMMANDS[name]


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_json_and_debug_and_explains_its_options(path):
    parameters = {option: p for p in LEAVES[path].params for option in p.opts}
    assert {"--json", "--debug"} <= set(parameters)
    assert all(p.help for p in parameters.values())


def test_help_names_every_command_and_imports_none(tmp_path):
    code = (
        "import sys; from ui.cli.main import main; code = main(['--help']);"
        "heavy = {'rich', 'ui.cli.chat', 'ui.cli.serve', 'torch', 'numpy', 'aiohttp'};"
        "loaded = heavy & set(sys.modules);"
        "sys.exit(repr(loaded) if loaded or code else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert all(f"  {name} " in run.stdout for name in COMMANDS)


def test_hearth_alone_shows_the_help(hearth):
    assert "Commands:" in hearth().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell):
    def complete(line):
        words = line.split(" ")
        environment = {
            "_HEARTH_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "PATH": "/usr/bin:/bin",
        }
        command = [sys.executable, "-m", "ui.cli"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60).stdout

    assert "search" in complete("hearth sea")
    assert "--limit" in complete("hearth search --l")


# Errors and exit codes


def test_an_unknown_command_names_the_nearest(hearth):
    result = hearth("serach")
    assert result.code == 2
    assert "'search'" in result.err
    assert result.err.count("\n") == 1


def test_an_unknown_option_is_the_users_to_mend(hearth):
    result = hearth("search", "--nope", "x")
    assert result.code == 2
    assert "--nope" in result.err
    assert "hearth search --help" in result.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("step", "cause\nover two lines", "Remedy"), 2, "hearth: step: cause over two lines. Remedy\n"),
        (ConnectFailed("asking", "nobody answered", "Start it"), 1, "hearth: asking: nobody answered. Start it\n"),
        (ZeroDivisionError("oops"), 1, "a bug in Hearth: ZeroDivisionError: oops"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_a_code(hearth, fake, monkeypatch, error, code, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(fake, "ask", fail)
    result = hearth("ask", "What?")
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert len(result.err.splitlines()) <= 1


def test_debug_adds_the_traceback(hearth, fake, monkeypatch):
    monkeypatch.setattr(fake, "ask", lambda *_: 1 // 0)
    assert "Traceback" not in hearth("ask", "What?").err
    assert "Traceback" in hearth("ask", "What?", "--debug").err


def test_with_json_an_error_is_json_too(hearth, fake, monkeypatch):
    def fail(_):
        raise UsageError("step", "cause", "Remedy")

    monkeypatch.setattr(fake, "ask", fail)
    result = hearth("ask", "What?", "--json")
    assert result.json["error"] == {
        "type": "UsageError",
        "message": "step: cause. Remedy",
        "exit_code": 2,
        "step": "step",
        "cause": "cause",
        "remedy": "Remedy",
    }
    assert result.err == "hearth: step: cause. Remedy\n"


def test_a_reader_that_goes_away_is_no_error(house):
    code = "from ui.cli.main import main; import sys; sys.exit(main(['--help']))"
    run = subprocess.run(
        ["bash", "-c", f'set -o pipefail; PYTHONUNBUFFERED=1 {sys.executable} -c "{code}" | true'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stderr == ""


# The rooms


def test_a_foreign_package_with_a_rooms_name_is_a_loud_error(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("raise SystemExit('imported')")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.path.append({str(ROOT)!r})\n"
    code += "from ui.cli.main import main; sys.exit(main(['--version']))"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert run.stderr.startswith("hearth: opening the house: the room `agents` comes from")
    assert str(tmp_path) in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_missing_room_is_named(monkeypatch):
    monkeypatch.setattr(rooms, "ROOMS", ("decoder", "no_such_room"))
    with pytest.raises(rooms.ForeignRoom, match="no_such_room` is not there"):
        rooms.check()


def test_here_all_rooms_are_ours():
    rooms.check()


# Commands


def test_index_tells_what_it_did(hearth, fake, house):
    (house / "lease.pdf").touch()
    result = hearth("index", "lease.pdf", "--kb", "home")
    assert result.code == 0
    assert result.out == "home: 1 added (1 passages, 0.1 s)\n"
    assert ("add", ("lease.pdf",)) in fake.opened["home"].calls


def test_index_tells_what_could_not_be_read(hearth, fake, house):
    (house / "scan.pdf").touch()
    fake.report = IndexReport(failed={"scan.pdf": "it holds no text"})
    result = hearth("index", "scan.pdf")
    assert result.code == 2
    assert "scan.pdf: it holds no text" in result.err
    assert hearth("index", "scan.pdf", "--json").json["failed"] == {"scan.pdf": "it holds no text"}


def test_index_of_a_path_that_is_not_there(hearth, fake):
    result = hearth("index", "nowhere")
    assert result.code == 2
    assert "nowhere does not exist" in result.err


def test_search_lists_places_and_passages(hearth, fake):
    result = hearth("search", "rent")
    assert "lease.pdf, page 2" in result.out
    assert "The rent is 900 euros." in result.out
    assert hearth("search", "rent", "--json").json["hits"][0]["passage"]["location"] == "lease.pdf, page 2"


def test_search_options_become_how_to_search(hearth, fake):
    from rag.filters import Access, parse_where
    from rag.parents import Parents
    from rag.retrieve import Search

    options = ["--where", "author=Ann|Bob", "--where", "year>=2020", "--tenant", "acme", "--as", "user:ann"]
    assert hearth("search", "rent", "-n", "3", *options, "--as", "group:staff", "--mmr", "0.5", "--parents").code == 0
    where = parse_where(["author=Ann|Bob", "year>=2020"], Access("acme", ("user:ann", "group:staff")))
    expected = Search(limit=3, where=where, diversity=0.5, parents=Parents())
    assert ("search", "rent", expected) in fake.calls
    assert hearth("search", "rent", "--rerank", "some/model").code == 0
    assert fake.calls[-2][2].reranker.name == "some/model"
    refused = hearth("search", "rent", "--where", "nonsense")
    assert refused.code == 2
    assert "'nonsense' is no condition" in refused.err


def test_search_explains_itself(hearth, fake):
    result = hearth("search", "rent", "--explain", "--mmr", "0.5", "--parents")
    for told in (
        "dense 0.700, rank 1 | BM25 3.20, rank 2 | 0.400 dense + 0.100 sparse",
        "words: rent; not there: moon",
        "fused 0.500, rank 1 | diversity rank 1 | parent of lease.pdf, page 2",
        "filter: author=Ann",
        "diversity: lambda 0.5",
    ):
        assert told in result.out
    explained = hearth("search", "rent", "--explain", "--json").json["explanation"]
    assert explained["hits"][0]["queries"][0]["missing"] == ["moon"]


def test_ask_prints_the_answer_then_its_sources(hearth, fake):
    result = hearth("ask", "How much is the rent?")
    assert result.code == 0
    expected = ["The rent is 900 euros [1].", "", "Sources", "[1] lease.pdf, page 2", "    “The rent is 900 euros.”"]
    assert result.out.splitlines() == expected


def test_ask_json_holds_the_whole_answer(hearth, fake):
    result = hearth("ask", "How much is the rent?", "--json")
    assert result.json["question"] == "How much is the rent?"
    assert result.json["citations"][0]["quote"] == "The rent is 900 euros."
    assert result.json["citations"][0]["page"] == 2
    assert result.json["passages"][0]["score"] == 0.5


def test_ask_leaves_with_3_when_the_documents_do_not_tell(hearth, fake):
    result = hearth("ask", "How far is the moon?")
    assert result.code == 3
    assert result.out == "The documents do not say.\n"


def test_docs_are_read_first_into_a_knowledge_base_of_their_own(hearth, fake, house):
    (house / "My Notes").mkdir()
    result = hearth("ask", "How much?", "--docs", "My Notes")
    assert result.code == 0
    assert "Read My Notes: 1 added" in result.err
    name = wiring.name_for(Path("My Notes"))
    assert name.startswith("my-notes-")
    assert ("add", ("My Notes",)) in fake.opened[name].calls


def test_docs_without_a_document_are_the_users_to_mend(hearth, fake, house):
    (house / "empty").mkdir()
    fake.opened[wiring.name_for(house / "empty")] = empty = type(fake)()
    empty.report = IndexReport(failed={"empty/a.pdf": "loading empty/a.pdf: it holds no text"}, unsupported=2)
    result = hearth("ask", "What is the rent?", "--docs", "empty")
    assert result.code == 2
    assert "loading empty/a.pdf: it holds no text\n" in result.err
    assert "no document there could be read (1 failed, 2 of other kinds left out" in result.err


def test_folders_of_one_name_get_knowledge_bases_of_their_own(house):
    assert wiring.name_for(house / "a" / "docs") != wiring.name_for(house / "b" / "docs")
    assert wiring.name_for(house / "docs") == wiring.name_for(Path("docs"))


@given(st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=80))
@settings(max_examples=100, deadline=None)
def test_every_path_gives_a_name_that_an_index_can_have(name):
    from rag.settings import check_index_name

    assert check_index_name(wiring.name_for(Path("/documents") / name))


def test_docs_and_kb_together_are_refused(hearth, fake, house):
    result = hearth("ask", "How much?", "--docs", house, "--kb", "other")
    assert result.code == 2
    assert "--kb and --docs" in result.err


def test_a_decoder_is_asked_for_in_one_way_only(hearth, house):
    result = hearth("ask", "x", "--embedded", house, "--base-url", "http://127.0.0.1:1/v1")
    assert result.code == 2
    assert "--embedded" in result.err


def test_an_embedded_model_must_be_a_folder(hearth):
    result = hearth("ask", "x", "--embedded", "nowhere")
    assert result.code == 2
    assert "nowhere is not a folder" in result.err


# What is printed


def test_untrusted_text_can_neither_steer_the_terminal_nor_be_read_as_markup(hearth, fake):
    evil = Citation(1, ATTACK, ATTACK, "", 0, 1, 1, 1)
    fake.answers["x"] = Answer(ATTACK, (evil,))
    out = hearth("ask", "x").out
    assert not [c for c in out if ord(c) < 32 and c not in "\n\t"]
    assert "[bold]not bold[/bold]" in out
    assert "owned" not in out
    assert "\u202e" not in out


def test_json_is_ascii_without_control_characters(hearth, fake):
    fake.answers["x"] = Answer(ATTACK)
    out = hearth("ask", "x", "--json").out
    assert all(32 <= ord(c) < 127 for c in out.rstrip("\n"))
    assert json.loads(out)["text"] == ATTACK


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["\x1b", "[", "]", "0", "m", ";", "\x07", "\x9b", "a", "\r", "\n"])).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_cleaned_text_holds_nothing_that_a_terminal_acts_on(text):
    cleaned = clean(text)
    assert not [c for c in cleaned if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]
    assert clean(cleaned) == cleaned
    assert len(clean_line(text).splitlines()) <= 1


def test_plain_text_is_left_alone():
    text = "Straße 12 €\t“quoted” 漢字 👩‍🚀\nsecond line"
    assert clean(text) == text
    assert clean("a\r\nb") == "a\nb"


def test_a_bar_is_drawn_at_a_terminal_only(capsys):
    with output.progress_bar() as show:
        show(object())
    assert capsys.readouterr().err == ""


def test_a_report_in_one_line():
    report = IndexReport(added=("a", "b"), unchanged=3, passages=40, failed={"c": "no"}, seconds=1.26)
    assert output.describe(report) == "2 added, 3 unchanged, 1 failed (40 passages, 1.3 s)"
    assert output.describe(replace(report, added=(), unchanged=0, failed={})).startswith("nothing to read")


def test_main_gives_typer_no_chance_to_leave_the_process(hearth):
    assert main(["--help"]) == 0
    assert isinstance(load("ask"), typer.core.TyperCommand)
