"""`hearth feedback`, and the thumbs of the chat that fill it."""

import io
import json
import sys

import pytest

from alignment.feedback import Feedback
from alignment.feedback_events import Exchange, Where
from alignment.feedback_store import append
from decoder.errors import ServerFailed
from rag.types import Answer, Citation, Hit, Passage
from ui.cli import chat_feedback, wiring

ATTACK = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m [bold]b[/bold] \x9b5n\u202eevil\r\b\x00"


@pytest.fixture
def chat(hearth, fake, monkeypatch):
    """Runs `hearth chat` with these lines, as from a pipe."""

    def run(*said):
        stdin = io.TextIOWrapper(io.BytesIO("".join(line + "\n" for line in said).encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        return hearth("chat")

    run.fake = fake
    return run


class Named:
    model, base_url = "little", "http://127.0.0.1:9/v1"

    def close(self):
        pass


# In the chat


def test_a_thumb_keeps_the_answer_with_all_that_it_was_made_from(chat, monkeypatch, house):
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: Named())
    monkeypatch.setattr(chat_feedback, "person", lambda: "ann")
    result = chat("How far is the moon?", "How much is the rent?", "And when?", "/good  that helps ")
    assert (result.code, "Kept as good." in result.out) == (0, True)
    (event,) = Feedback().events()
    assert (event.kind, event.vote, event.comment, event.person) == ("vote", 1, "that helps", "ann")
    exchange = event.exchange
    assert [message["content"] for message in exchange.prompt] == [
        "How much is the rent?",
        "The rent is 900 euros [1].",
        "And when?",
    ]
    assert (exchange.response, exchange.model) == ("The rent is 900 euros [1].", "little")
    assert exchange.sampling["temperature"] == 0
    assert [(s.text, s.label, s.id) for s in exchange.context] == [
        ("The rent is 900 euros.", "lease.pdf, page 2", "p1")
    ]
    assert len(exchange.conversation) == 16
    assert Feedback().path == house / "home" / "feedback.sqlite"


def test_a_bad_answer_and_a_better_one(chat):
    out = chat("How much?", "/bad", "/edit 900 euros a month [1].").out
    assert "Kept as bad." in out and "Kept as a better answer." in out
    bad, better = Feedback().events()
    assert (bad.vote, better.edit) == (-1, "900 euros a month [1].")
    assert bad.exchange == better.exchange


def test_answers_that_are_quoted_are_of_no_model(chat):
    places = [Passage(f"p{n}", f"Sentence {n}.", "a.md", "", 0, 9, n, n) for n in (1, 2, 3)]
    cited = Citation(1, "Sentence 2.", "a.md", "", 0, 9, 2, 2, passage_id="p2")
    chat.fake.answers["x"] = Answer("Sentence 2. [1]", (cited,), passages=tuple(Hit(p, 0.5) for p in places))
    chat("x", "/good")
    exchange = Feedback().events()[0].exchange
    assert (exchange.model, exchange.sampling) == ("extractive", {})
    assert [shown.id for shown in exchange.context] == ["p2", "p1", "p3"]


def test_an_answer_by_a_promoted_adapter_names_its_artefact(chat, monkeypatch, hearth, house):
    """A decoder that follows a promotion is called as what answered last (`decoder/alias.py`)."""
    named = Named()
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: named)
    for named.model in ("sft-mine-0123abcd", "sft-other-0123abcd"):
        (house / "home" / "models" / "sft-mine-0123abcd").mkdir(parents=True, exist_ok=True)
        chat("How much?", "/good")
    found = [(event.exchange.model, event.exchange.adapter) for event in Feedback().events()]
    assert found == [("sft-mine-0123abcd", "sft-mine-0123abcd"), ("sft-other-0123abcd", "")]
    assert len(hearth("feedback", "list", "--adapter", "sft-mine-0123abcd").out.splitlines()) == 1


@pytest.mark.parametrize("said", ["/good", "/bad", "/edit x"])
def test_there_is_nothing_to_judge_before_an_answer(chat, said):
    result = chat(said)
    assert result.code == 2
    assert "nothing was answered yet" in result.err
    assert not Feedback().path.exists()


def test_an_answer_that_failed_is_not_the_last_one(chat):
    chat.fake.answers["Break?"] = ServerFailed("answering", "the server died", "Start it again")
    chat("How much?", "Break?", "/bad")
    assert Feedback().events()[0].exchange.response == "The rent is 900 euros [1]."


def test_edit_opens_the_editor_where_there_is_a_terminal(chat, monkeypatch, house):
    monkeypatch.setattr(chat_feedback, "at_a_terminal", lambda: True)
    monkeypatch.setenv("EDITOR", "sed -i s/900/950/")
    monkeypatch.delenv("VISUAL", raising=False)
    chat("How much?", "/edit")
    assert [event.edit for event in Feedback().events()] == ["The rent is 950 euros [1]."]
    monkeypatch.setenv("EDITOR", "true")
    assert "Nothing was changed" in chat("How much?", "/edit").out
    for editor, words in (("false", "ended with 1"), ("no-such-editor", "cannot be used"), ("", "set EDITOR")):
        monkeypatch.setenv("EDITOR", editor)
        assert words in chat("How much?", "/edit").err
    assert Feedback().count() == 1


def test_edit_without_a_text_in_a_pipe(chat):
    assert "Write it behind /edit" in chat("How much?", "/edit").err


def test_a_store_that_cannot_be_written_ends_no_chat(chat):
    Feedback().path.parent.mkdir()
    Feedback().path.write_text("mine " * 100)
    result = chat("How much?", "/good", "How much?")
    assert "it is no feedback store" in result.err
    assert result.out.count("> How much?") == 2


# The command


@pytest.fixture
def kept():
    """Three votes and an edit."""
    feedback = Feedback()
    exchange = Exchange.of("Why?", "Because.", model="little", adapter="v1")
    return [
        feedback.vote(exchange, 1, person="ann", comment="nice"),
        feedback.vote(exchange, -1, person="bob"),
        feedback.edit(exchange, "Because of the air.", person="bob"),
        feedback.vote(Exchange.of("Who?", "Me.", model="other"), 1),
    ]


def test_list_and_its_filters(hearth, kept):
    lines = hearth("feedback", "list").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [event.id for event in kept]
    assert lines[0].split("\t")[2:] == ["vote", "ann", "little", "good: nice"]
    found = hearth("feedback", "list", "--person", "bob", "--kind", "edit", "--json").json["events"]
    assert [event["edit"] for event in found] == ["Because of the air."]
    assert hearth("feedback", "list", "--since", "2999-01-01").out == ""
    assert len(hearth("feedback", "list", "--limit", "1").out.splitlines()) == 1
    assert "no kind 'vots'" in hearth("feedback", "list", "--kind", "vots").err
    assert "'soon' is none" in hearth("feedback", "list", "--since", "soon").err


def test_an_empty_store_says_how_to_begin(hearth):
    assert "/good" in hearth("feedback", "list").err
    assert hearth("feedback", "stats").code == 0
    assert not Feedback().path.exists()


def test_show_one(hearth, kept):
    out = hearth("feedback", "show", kept[2].id).out
    for words in ("[user]\nWhy?", "[answer]\nBecause.", "[better answer]\nBecause of the air.", "model         little"):
        assert words in out
    assert hearth("feedback", "show", kept[2].id, "--json").json["event"]["edit"] == "Because of the air."
    assert hearth("feedback", "show", "nope").code == 2


def test_export_says_what_became_of_every_event(hearth, kept, house):
    result = hearth("feedback", "export", "--to", "dpo", "--out", house / "dpo.jsonl")
    assert result.out == f"{house / 'dpo.jsonl'}: 1 rows from 1 of 4 events\n"
    assert "2 × persons disagree, with no majority" in result.err
    assert "disagreed, left open: 1" in result.err
    (row,) = map(json.loads, (house / "dpo.jsonl").read_text().splitlines())
    assert row["chosen"][0]["content"] == "Because of the air."
    assert "exists already" in hearth("feedback", "export", "--to", "dpo", "--out", house / "dpo.jsonl").err
    options = ("--model", "other", "--overwrite", "--json")
    again = hearth("feedback", "export", "--to", "kto", "--out", house / "dpo.jsonl", *options)
    assert (again.json["rows"], again.json["events"]) == (1, 1)
    assert "no format" in hearth("feedback", "export", "--to", "xml", "--out", "x").err


def test_retract(hearth, kept):
    assert hearth("feedback", "retract", kept[1].id).code == 0
    assert kept[1] not in Feedback().events()
    assert len(hearth("feedback", "list", "--retracted").out.splitlines()) == 4
    assert "taken back already" in hearth("feedback", "retract", kept[1].id).err


def test_forget_asks_first_and_then_leaves_no_byte(hearth, kept):
    assert "Add --yes" in hearth("feedback", "forget", "bob").err
    assert Feedback().count(Where(person="bob")) == 2
    result = hearth("feedback", "forget", "bob", "--yes")
    assert "2 events of bob are gone" in result.out
    assert "exported earlier" in result.err
    assert b"Because of the air" not in b"".join(f.read_bytes() for f in Feedback().path.parent.iterdir())
    assert "nothing of that person" in hearth("feedback", "forget", "bob", "--yes").err
    assert hearth("feedback", "list", "--person", "bob").out == ""


def test_stats_tell_of_a_deletion_that_was_interrupted(hearth, kept):
    Feedback().forget("bob")
    facts = hearth("feedback", "stats", "--json").json
    assert (facts["events"], facts["forgotten"], facts["compaction_due"]) == (2, 2, True)
    assert "hearth feedback compact" in hearth("feedback", "stats").err
    assert hearth("feedback", "compact").out.endswith("2 events taken out, " + hearth_bytes())
    assert hearth("feedback", "stats").err == ""


def hearth_bytes():
    return f"{Feedback().path.stat().st_size} bytes now\n"


def test_hostile_feedback_cannot_steer_the_terminal(hearth):
    exchange = Exchange.of(ATTACK, ATTACK, model=ATTACK, adapter=ATTACK, conversation=ATTACK)
    event = Feedback().vote(exchange, -1, person=ATTACK, comment=ATTACK)
    ranked = Feedback().rank(exchange, [ATTACK, "b"], [1, 2], person=ATTACK)
    for arguments in (("list",), ("show", event.id), ("show", ranked.id), ("stats",)):
        out = hearth("feedback", *arguments).out
        assert "red [bold]b[/bold]" in out
        assert not set(out) & set("\x1b\x07\x9b\u202e\r\b\x00")
    err = hearth("feedback", "forget", "nobody\x1b[2J", "--yes").err
    assert "\x1b" not in err


def test_a_foreign_store_is_one_line(hearth):
    Feedback().path.parent.mkdir()
    Feedback().path.write_text("mine " * 100)
    for arguments in (("list",), ("stats",), ("show", "x"), ("compact",), ("forget", "x", "--yes")):
        result = hearth("feedback", *arguments)
        assert result.code == 2
        assert "it is no feedback store" in result.err and result.err.count("\n") == 1


def test_a_large_store_is_listed_from_its_end(hearth):
    from alignment.feedback_events import Event

    for number in range(30):
        append(Feedback().path, Event("comment", comment=f"number {number}"))
    lines = hearth("feedback", "list").out.splitlines()
    assert (len(lines), lines[-1].endswith("number 29")) == (20, True)
