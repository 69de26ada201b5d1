"""The measures of hearth-tiny, with decoders that are right or wrong about everything."""

import json

import pytest

from agents.prompt import ACT
from decoder.scripted import ScriptedDecoder
from prompts.grounded import REFUSAL
from ui.tiny.arithmetic import arithmetic
from ui.tiny.asked import dialogues, orders
from ui.tiny.errands import errands, knowledge
from ui.tiny.grounding import Told, grounding, squad, told
from ui.tiny.held_out import apart, drawn

HELD = drawn(24, 0)
KINDS = {
    "arithmetic": lambda decoder: arithmetic(decoder, HELD.problems, 6, ignore),
    "grounded": lambda decoder: grounding(decoder, HELD.grounded, ignore),
    "orders": lambda decoder: orders(decoder, HELD.orders, ignore),
    "dialogues": lambda decoder: dialogues(decoder, HELD.dialogues, ignore),
}
EVERY = pytest.mark.parametrize("kind", KINDS)


def ignore(event):
    pass


def shares(measure):
    return {score.name: score.share.value for score in measure.scores}


@EVERY
def test_all_right_is_one(tiny, kind):
    measure = KINDS[kind](tiny.knowing(HELD))
    found = shares(measure)
    assert found.pop("abstained where it should not", 0.0) == 0.0
    assert set(found.values()) == {1.0}
    assert measure.tokens > 0 and not measure.failed


@EVERY
def test_all_wrong_is_nothing(tiny, kind):
    assert set(shares(KINDS[kind](tiny.wrong(HELD))).values()) == {0.0}


@EVERY
def test_what_the_decoder_fails_on_is_wrong_and_named(tiny, kind):
    from decoder.errors import ServerFailed

    decoder = tiny.knowing(HELD)
    answer, times = decoder._script, []

    def sometimes(messages):
        times.append(messages)
        return ServerFailed("asking", "it fell over") if len(times) == 3 else answer(messages)

    decoder._script = sometimes
    measure = KINDS[kind](decoder)
    assert len(measure.failed) == 1 and "it fell over" in next(iter(measure.failed.values()))
    assert measure.scores[0].right == measure.scores[0].of - 1


def test_problems_are_told_apart_by_steps_and_a_vote_is_one_request(tiny):
    decoder = tiny.knowing(HELD)
    measure = arithmetic(decoder, HELD.problems, 6, ignore)
    assert {score.name: score.of for score in measure.scores} == {
        "direct": 24, "direct, 1 step": 8, "direct, 2 steps": 8, "direct, 3 steps": 8,
        "chain of thought": 24, "chain of thought, 1 step": 8, "chain of thought, 2 steps": 8,
        "chain of thought, 3 steps": 8,
        "self-consistency of 16": 6, "self-consistency of 16, 1 step": 2, "self-consistency of 16, 2 steps": 2,
        "self-consistency of 16, 3 steps": 2,
    }  # fmt: skip
    assert [each.change.count for each in measure.differences] == [24, 6]
    voted = [request.sampling for request in decoder.requests if request.sampling.n > 1]
    assert [(each.n, each.temperature) for each in voted] == [(16, 0.7)] * 6


def test_a_chain_that_is_better_than_the_number_at_once_is_told(tiny):
    def answer(messages):
        return right(messages) if "step by step" in messages[0].text else "99999"

    right = tiny.knowing(HELD)._script
    first, second = arithmetic(ScriptedDecoder(answer), HELD.problems, 6, ignore).differences
    assert first.name == "chain of thought minus direct" and first.change.value == 1.0
    assert second.change.value == 0.0


def test_an_answer_is_read_in_both_forms():
    assert told("12 apples [2].") == Told("12 apples", frozenset({2}))
    assert told("Passage 3 says: Bera owns it [1]. So the answer is Bera [3].") == Told("bera", frozenset({3}))
    assert told(f" {REFUSAL}\n").abstained and told(REFUSAL[:-1]).abstained
    assert told("Bera") == Told("bera")


def test_abstaining_always_is_right_where_nothing_is_told():
    found = shares(grounding(ScriptedDecoder(lambda messages: REFUSAL), HELD.grounded, ignore))
    assert (found["abstained where it should"], found["abstained where it should not"]) == (1.0, 1.0)
    assert (found["span"], found["citation"]) == (0.0, 0.0)
    unanswered = sum(not case.answered for case in HELD.grounded)
    assert 0 < found["right"] == unanswered / len(HELD.grounded)


def test_a_right_span_with_another_passage_cited_is_not_right(tiny):
    def answer(messages):
        return right(messages).replace("[", "[1")

    right = tiny.knowing(HELD)._script
    found = shares(grounding(ScriptedDecoder(answer), HELD.grounded, ignore))
    assert (found["span"], found["citation"], found["span and citation"]) == (1.0, 0.0, 0.0)


def test_an_order_that_never_ends_is_wrong():
    measure = orders(ScriptedDecoder(lambda messages: '{"name": "' + "la " * 200), HELD.orders[:2], ignore)
    assert shares(measure)["all fields"] == 0.0
    assert list(measure.failed) == ["0", "1"]


def test_errands_are_done_with_tools_and_without(tiny):
    cases = HELD.errands
    decoder = tiny.doing((cases, True), (cases, False))
    found = errands(decoder, cases, ignore)
    assert set(shares(found).values()) == {1.0}
    assert {name for name in shares(found) if name.startswith("with tools, ")} >= {"with tools, sum"}
    alone = [request.messages[0].text for request in decoder.requests[-2 * len(cases) :]]
    assert not any("calculator" in system for system in alone)


def test_errands_that_only_tools_can_solve(tiny):
    cases = HELD.errands
    script = [*tiny.doing((cases, True))._script, *["I do not know.", tiny.final("nothing")] * len(cases)]
    (change,) = errands(ScriptedDecoder(script), cases, ignore).differences
    assert (change.name, change.change.value) == ("with tools minus without tools", 1.0)
    assert set(shares(errands(tiny.wrong(HELD), cases, ignore)).values()) == {0.0}


@pytest.mark.slow
def test_errands_over_a_knowledge_base_are_shown_its_passages(tiny):
    cases = [case for case in apart(30, 0) if case.kind != "unknown"][:4]
    decoder = tiny.doing((cases, True))
    measure = knowledge(decoder, cases, ignore)
    assert shares(measure)["over files"] == 1.0
    shown = "\n".join(message.text for request in decoder.requests for message in request.messages)
    assert all(passage in shown for case in cases for passage in case.passages if case.answer in passage)
    assert ACT in shown and "1-1.txt" in shown


def test_squad_counts_spans_and_abstentions(tmp_path):
    questions = [
        {"id": str(n), "question": f"Who came {word}?", "answers": [{"text": f"the {name}", "answer_start": 0}]}
        for n, (word, name) in enumerate([("first", "Baker"), ("last", "Smith"), ("never", "Miller")])
    ]
    file = tmp_path / "squad.json"
    context = "The Baker came first, the Smith last."
    file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [{"context": context, "qas": questions}]}]}))
    replies = {"first": "The Baker [1].", "last": "It was the Smith, I think [1].", "never": REFUSAL}

    def answer(messages):
        return next(reply for word, reply in replies.items() if messages[-1].text.endswith(f"{word}?"))

    found = shares(squad(ScriptedDecoder(answer), file, 10, 0, ignore))
    assert found == pytest.approx({"span": 1 / 3, "span within the answer": 2 / 3, "abstained": 1 / 3})
