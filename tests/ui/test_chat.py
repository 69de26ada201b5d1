import io
import json
import sys

import pytest

from decoder.errors import ServerFailed
from rag.types import Answer, Citation
from ui.cli import chat_commands, lines, wiring
from ui.cli.session import Session


@pytest.fixture
def chat(hearth, fake, monkeypatch):
    """Runs `hearth chat` with these lines on standard input, as from a pipe."""

    def run(*said, options=()):
        stdin = io.TextIOWrapper(io.BytesIO("".join(line + "\n" for line in said).encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        return hearth("chat", *options)

    run.fake = fake
    return run


# Without a terminal


def test_a_pipe_holds_a_question_a_line(chat):
    result = chat("How much is the rent?", "", "How far is the moon?")
    assert result.code == 0
    assert result.out.splitlines() == [
        "> How much is the rent?",
        "The rent is 900 euros [1]. ",
        "",
        "Sources",
        "[1] lease.pdf, page 2",
        "    “The rent is 900 euros.”",
        "",
        "> How far is the moon?",
        "The documents do not say. ",
        "",
    ]


def test_with_json_every_answer_is_a_line(chat):
    result = chat("How much is the rent?", "/sources", "How far is the moon?", options=["--json"])
    first, second = map(json.loads, result.out.splitlines())
    assert first["question"] == "How much is the rent?"
    assert first["citations"][0]["location"] == "lease.pdf, page 2"
    assert second["refused"]
    assert "lease.pdf" in result.err  # what /sources shows must not get among the answers


def test_without_a_decoder_it_says_so_once(chat):
    result = chat("One?", "Two?")
    assert result.err.count("quoted from the documents") == 1


def test_bytes_that_are_no_text_are_still_a_question(hearth, fake, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8"))
    assert hearth("chat").code == 0
    assert fake.calls[0][1] == "caf\N{REPLACEMENT CHARACTER}"


# The conversation


def test_the_decoder_is_told_what_was_said_and_answered(chat):
    chat("How much is the rent?", "How far is the moon?", "And when?")
    history = [call[2] for call in chat.fake.calls if call[0] == "stream"][-1]
    assert [(m.role, m.text) for m in history] == [
        ("user", "How much is the rent?"),
        ("assistant", "The rent is 900 euros [1]."),
    ]


def test_an_error_ends_the_answer_and_not_the_chat(chat):
    chat.fake.answers["Break?"] = ServerFailed("answering", "the server died", "Start it again")
    result = chat("Break?", "How much is the rent?")
    assert "answering: the server died. Start it again" in result.err
    assert "The rent is 900 euros [1]." in result.out
    assert result.code == 1


def test_an_answer_that_checking_changed_is_shown_again(chat, monkeypatch):
    from rag.types import AnswerDelta

    def stream(question, history):
        yield AnswerDelta("It is free [7].")
        yield Answer("The documents do not say.", refused=True)

    monkeypatch.setattr(chat.fake, "stream", stream)
    out = chat("Cost?").out
    assert out.index("It is free") < out.index("After checking") < out.index("The documents do not say.")


def test_an_answer_that_was_not_streamed_is_shown_once(chat, monkeypatch):
    monkeypatch.setattr(chat.fake, "stream", lambda question, history: (a for a in [Answer("Quoted words.")]))
    assert chat("What?").out.splitlines() == ["> What?", "Quoted words.", ""]


def test_what_is_streamed_cannot_steer_the_terminal(chat):
    chat.fake.answers["x"] = Answer(
        "\x1b[2J [red]x[/red] \x1b]0;t\x07", (Citation(1, "\x1b[31m[b]q", "s", "", 0, 1, 1, 1),)
    )
    out = chat("x").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[red]x[/red]" in out
    assert "[b]q" in out


# Slash commands


def test_an_unknown_command_names_the_nearest(chat):
    result = chat("/sorces", "/xyzzy")
    assert "there is no command /sorces. Did you mean /sources?" in result.err
    assert "there is no command /xyzzy. /help lists the commands" in result.err
    assert result.code == 2


def test_help_lists_every_command(chat):
    out = chat("/help").out
    assert all(f"/{name}" in out and chat_commands.summary(name) in out for name in chat_commands.COMMANDS)


def test_sources_are_those_of_the_last_answer(chat):
    assert "Nothing was answered yet." in chat("/sources").out
    assert "The last answer has no sources." in chat("How far is the moon?", "/sources").out
    assert chat("How much?", "/sources").out.count("[1] lease.pdf, page 2") == 2


def test_open_shows_the_passage_with_its_surroundings(chat):
    out = chat("How much?", "/open 1").out
    assert "2  Before.\n3  The rent is 900 euros.\n4  After." in out


@pytest.mark.parametrize(("said", "words"), [("/open 9", "no source '9'. Give one of 1"), ("/open", "no source ''")])
def test_open_of_a_source_that_is_not_there(chat, said, words):
    assert words in chat("How much?", said).err


def test_open_before_any_answer(chat):
    assert "nothing was answered yet" in chat("/open 1").err


def test_kb_lists_and_changes(chat):
    chat.fake.opened["other"] = type(chat.fake)("other")
    result = chat("/kb", "/kb other", "How much?", "/kb othr")
    assert result.out.splitlines()[:3] == ["*\tdefault", "\tother", "Now talking with other."]
    assert chat.fake.opened["other"].calls[0][0] == "stream"
    assert "Did you mean other?" in result.err


def test_a_change_of_knowledge_base_begins_a_new_conversation(chat):
    other = chat.fake.opened["other"] = type(chat.fake)("other")
    chat("How much?", "/kb other", "How much?")
    assert other.calls[0] == ("stream", "How much?", ())


def test_model_shows_and_changes_the_decoder(chat, monkeypatch):
    class Decoder:
        def __init__(self, choice):
            self.model, self.base_url = choice.model or "first", choice.base_url

        def close(self):
            pass

    result = chat("/model")
    assert "No decoder is set" in result.out
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: Decoder(choice) if choice.base_url else None)
    result = chat("/model http://127.0.0.1:9/v1", "/model small", "/model none")
    assert result.out.splitlines() == [
        "Answers are written by first at http://127.0.0.1:9/v1.",
        "Answers are written by small at http://127.0.0.1:9/v1.",
        "No decoder is set: answers are quoted from the documents.",
    ]


def test_save_writes_json(chat, house):
    chat("How much?", "/save talk.json")
    (turn,) = json.loads((house / "talk.json").read_text())
    assert (turn["kb"], turn["question"]) == ("default", "How much?")
    assert turn["answer"]["citations"][0]["quote"] == "The rent is 900 euros."


def test_save_writes_markdown_in_which_quotes_stay_text(chat, house):
    chat.fake.answers["x"] = Answer("Yes [1].", (Citation(1, "![a](http://evil) <b>", "a_b.md", "", 0, 1, 1, 1),))
    chat("x", "/save talk.md")
    assert (house / "talk.md").read_text().splitlines() == [
        "# A chat with Hearth",
        "",
        "## x",
        "",
        "Yes [1].",
        "",
        "Sources:",
        "",
        "- \\[1\\] a\\_b.md, line 1",
        "  > !\\[a\\](http://evil) \\<b\\>",
    ]


def test_save_never_overwrites_what_this_chat_did_not_write(chat, house):
    (house / "mine.md").write_text("mine")
    assert "exists already" in chat("How much?", "/save mine.md").err
    assert (house / "mine.md").read_text() == "mine"
    assert chat("How much?", "/save new.md", "How much?", "/save new.md").code == 0
    assert (house / "new.md").read_text().count("## How much?") == 2


@pytest.mark.parametrize("name", ["", "talk.txt", "nowhere/talk.md"])
def test_save_where_it_cannot(chat, name):
    result = chat("How much?", f"/save {name}")
    assert result.code == 2
    assert len(result.err.splitlines()) == 2  # that no decoder is set, and the error


def test_quit_leaves(chat):
    assert "How much?" not in chat("/quit", "How much?").out


# The parts


def test_a_session_keeps_what_it_has_when_the_new_cannot_be_opened(fake, monkeypatch):
    def fail(*_, **__):
        raise ServerFailed("opening", "no")

    session = Session(fake, "default")
    monkeypatch.setattr(wiring, "open_knowledge_base", fail)
    with pytest.raises(ServerFailed):
        session.use_knowledge_base("other")
    assert (session.base, session.kb) == (fake, "default")
    assert fake.calls == []


def test_history_is_kept_for_the_owner_alone(monkeypatch):
    monkeypatch.setattr(lines, "at_a_terminal", lambda: True)
    readline = pytest.importorskip("readline")
    with lines.line_editing(["/help"]):
        readline.add_history("How much?")
    assert lines.history_file().stat().st_mode & 0o777 == 0o600
    with lines.line_editing(["/help"]):
        assert readline.get_history_item(1) == "How much?"
        complete = readline.get_completer()
        assert (complete("/h", 0), complete("/h", 1), complete("h", 0)) == ("/help", None, None)
