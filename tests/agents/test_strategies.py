"""Voting, acting, each in the other's place, and trying again after a critic."""

import json

import pytest

from agents import Agent, Budget, Tool
from agents.strategies import (
    Verdict,
    avote,
    react_then_vote,
    reflexion,
    vote,
    vote_then_react,
)
from decoder import ScriptedDecoder, UsageError

NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}


def answers(text):
    return json.dumps({"name": "final_answer", "arguments": {"answer": text}})


def acts(name):
    return json.dumps({"name": name, "arguments": {}})


def decoder(thoughts=(), actions=()):
    """Chains of thought when asked to think on paper, else actions."""
    thoughts, actions = iter(thoughts), iter(actions)

    def say(messages):
        return next(thoughts if "thinking them through on paper" in messages[0].text else actions)

    return ScriptedDecoder(say)


def chain(answer):
    return f"I think.\nAnswer: {answer}"


def agent(said, **options):
    look = Tool("look", "Look.", NOTHING, lambda: 1, effect="read")
    return Agent(said, [look], thought_tokens=0, **options)


def test_a_vote_is_by_chains_of_thought():
    said = decoder([chain("12"), chain("13"), chain("12"), chain("12"), chain("12"), chain("12")] * 4)
    consensus = vote(said, "How many?", extract="number", samples=9)
    assert consensus.answer.text == "12"
    assert "How many?" in said.requests[0].messages[-1].text


def test_acting_answers_and_no_vote_is_taken():
    outcome = react_then_vote(agent(decoder(actions=[acts("look"), answers("seen")])), "What?")
    assert (outcome.answer, outcome.by, outcome.consensus) == ("seen", "react", None)


def test_where_acting_ends_without_an_answer_the_vote_decides():
    said = decoder([chain("12")] * 30, [acts("look")] * 9)
    outcome = react_then_vote(agent(said, budget=Budget(tokens=5)), "How many?", extract="number")
    assert (outcome.answer, outcome.by, outcome.run.ended) == ("12", "vote", "tokens")
    assert outcome.tokens == outcome.run.spent.tokens + outcome.consensus.usage.total_tokens


def test_a_clear_vote_needs_no_acting():
    outcome = vote_then_react(agent(decoder([chain("12")] * 30)), "How many?", extract="number")
    assert (outcome.answer, outcome.by, outcome.run) == ("12", "vote", None)


def test_where_the_vote_is_split_acting_decides():
    split = [chain(str(n)) for n in range(60)]
    outcome = vote_then_react(agent(decoder(split, [acts("look"), answers("seen")])), "How many?", extract="number")
    assert (outcome.answer, outcome.by) == ("seen", "react")
    assert outcome.consensus.confidence < 0.5


def test_where_acting_fails_too_the_split_vote_stands():
    said = decoder([chain(str(n)) for n in range(60)], [acts("look")] * 9)
    outcome = vote_then_react(agent(said, budget=Budget(tokens=5)), "How many?", extract="number")
    assert outcome.by == "vote"
    assert outcome.run.ended == "tokens"


async def test_a_vote_without_a_readable_answer_gives_none():
    consensus = await avote(decoder(["Hm."] * 30), "How many?", extract="number", samples=5)
    assert consensus.answer is None


def test_an_answer_that_is_accepted_is_not_tried_again():
    done = reflexion(agent(decoder(actions=[answers("good")])), "Write.", lambda task, result: Verdict(True))
    assert (done.accepted, done.result.answer, len(done.attempts)) == (True, "good", 1)


def test_what_the_critic_says_goes_into_the_next_attempt():
    said = decoder(actions=[answers("bad"), answers("better")])
    done = reflexion(agent(said), "Write.", lambda task, result: Verdict(result.answer == "better", "Too short."))
    assert [result.answer for result in done.attempts] == ["bad", "better"]
    told = [message.text for message in said.requests[-1].messages]
    assert any("Too short." in text for text in told)
    assert "Write." in told[-1]


def test_attempts_end_and_the_last_one_is_not_called_accepted():
    done = reflexion(agent(decoder(actions=[answers("bad")] * 3)), "Write.", lambda *_: Verdict(False, "No."), 3)
    assert (len(done.attempts), done.accepted) == (3, False)
    with pytest.raises(UsageError):
        reflexion(agent(decoder()), "Write.", attempts=0)


def test_the_taint_of_an_attempt_goes_on_to_the_next():
    wrote = []
    tools = [
        Tool("read", "Read.", NOTHING, lambda: "a mail", effect="read"),
        Tool("write", "Write.", NOTHING, lambda: wrote.append(1), effect="write"),
    ]
    said = ScriptedDecoder([acts("read"), answers("bad"), acts("write"), answers("worse")])
    reflexion(Agent(said, tools, thought_tokens=0), "Go.", lambda *_: Verdict(False, "Write it."), 2)
    assert wrote == []


def test_the_decoder_can_be_its_own_critic():
    found = {"problems": [{"quote": "", "problem": "No date.", "fix": "Add it.", "severity": "serious"}]}
    said = ScriptedDecoder(
        [
            answers("bad"),
            json.dumps({**found, "verdict": "revise"}),
            answers("with a date"),
            json.dumps({"problems": [], "verdict": "acceptable"}),
        ]
    )
    done = reflexion(agent(said), "Write.")
    assert done.accepted
    assert "No date. Add it." in done.verdicts[0].problems
    assert done.result.answer == "with a date"
