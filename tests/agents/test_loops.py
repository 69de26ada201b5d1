"""Loop detection: the same call with the same outcome."""

import itertools

import pytest

from agents import Agent
from agents.events import Call, Hint, Observation
from agents.loops import LoopDetector


def observed(text="3", tool="add", call_id="x", **arguments):
    return Observation(1, Call(call_id, tool, arguments), text)


def test_a_first_repeat_gets_a_hint_and_the_next_forces_an_answer(loop):
    same = loop.call("add", a=1, b=2)
    decoder = loop.scripted(same, same, same, loop.answer("3"))
    events = list(Agent(decoder, [loop.tool()]).stream("Add."))
    first, second = loop.of(events, Hint)
    assert "very call before" in first.text
    assert not first.force_answer
    assert "repeating yourself" in second.text
    assert second.force_answer
    assert len(loop.of(events, Observation)) == 3
    assert events[-1].result.answer == "3"
    assert decoder.requests[-1].constraint.value["properties"]["name"] == {"const": "final_answer"}


@pytest.mark.parametrize("mode", ["native", "text"])
def test_one_that_goes_on_repeating_makes_no_further_call(loop, mode):
    calls = []
    same = loop.native(("add", {"a": 1, "b": 2})) if mode == "native" else "Action: add(a=1, b=2)"
    tool = loop.tool(run=lambda a, b: calls.append(1))
    last = "3" if mode == "native" else "Final Answer: 3"
    result = Agent(loop.scripted(*[same] * 5, last, mode=mode), [tool], mode=mode).run("Add.")
    assert len(calls) == 3
    assert result.answer == "3"


def test_polling_with_changing_results_is_no_loop(loop):
    ticks = itertools.count()
    same = loop.call("add", a=1, b=2)
    decoder = loop.scripted(*[same] * 6, loop.answer())
    events = list(Agent(decoder, [loop.tool(run=lambda a, b: next(ticks))]).stream("Poll."))
    assert loop.of(events, Hint) == []
    assert events[-1].result.ok


def test_the_order_of_arguments_makes_no_difference(loop):
    detector = LoopDetector()
    assert detector.repeats(observed(a=1, b={"x": 1, "y": 2})) == 0
    assert detector.repeats(observed(b={"y": 2, "x": 1}, a=1)) == 1


def test_another_argument_result_or_tool_is_no_repeat():
    detector = LoopDetector()
    detector.repeats(observed(a=1))
    for other in (observed(a=2), observed(a="1"), observed(a=[1]), observed("4", a=1), observed(tool="sub", a=1)):
        assert detector.repeats(other) == 0


def test_the_id_of_a_call_makes_no_difference():
    detector = LoopDetector()
    assert detector.repeats(observed(call_id="one", a=1)) == 0
    assert detector.repeats(observed(call_id="two", a=1)) == 1


def test_a_repeat_need_not_follow_at_once():
    detector = LoopDetector()
    detector.repeats(observed(a=1))
    detector.repeats(observed(a=2))
    assert detector.repeats(observed(a=1)) == 1


def test_calls_that_are_refused_again_and_again_are_a_loop_too(loop):
    decoder = loop.scripted(*["Action: gone()"] * 4, "Final Answer: no", mode="text")
    events = list(Agent(decoder, [loop.tool()], mode="text").stream("Go."))
    assert [hint.force_answer for hint in loop.of(events, Hint)] == [False, True]
    assert events[-1].result.answer == "no"


def test_any_text_can_be_an_observation():
    assert LoopDetector().repeats(observed("\ud800")) == 0
