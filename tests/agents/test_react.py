"""The loop: thought, action, observation, until there is an answer; the same in each of its three modes."""

import asyncio
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

import pytest
from pydantic import BaseModel, Field, field_validator

from agents import Agent, Budget, Policy
from agents.errors import UnparsableAction
from agents.events import (
    Action,
    DecoderCalled,
    FinalAnswer,
    Hint,
    Observation,
    RunEnded,
    RunStarted,
    Thought,
    ThoughtDelta,
    ToolStarted,
    Truncated,
    Unparsable,
)
from decoder import ScriptedDecoder, ServerFailed
from decoder.base import close_events
from decoder.errors import ConstraintIgnored, ConstraintRefused
from decoder.types import Sampling

MODES = ("constrained", "native", "text")


@pytest.fixture
def three(loop):
    """three(mode, *calls): a decoder that makes these calls and then answers "done", in the way of its mode."""

    def make(mode, *calls, **options):
        if mode == "native":
            return loop.scripted(*(loop.native(each) for each in calls), "done", mode=mode, **options)
        if mode == "text":
            actions = [f"Thought: so.\nAction: {loop.call(name, **arguments)}" for name, arguments in calls]
            return loop.scripted(*actions, "Final Answer: done", mode=mode, **options)
        return loop.scripted(*(loop.call(n, **a) for n, a in calls), loop.answer(), mode=mode, **options)

    return make


ORDER = {
    "constrained": [
        *(RunStarted, DecoderCalled, Thought, DecoderCalled, Action, ToolStarted, Observation),
        *(DecoderCalled, Thought, DecoderCalled, Action, FinalAnswer, RunEnded),
    ],
    "native": [RunStarted, DecoderCalled, Action, ToolStarted, Observation, DecoderCalled, FinalAnswer, RunEnded],
    "text": [
        *(RunStarted, DecoderCalled, Action, ToolStarted, Observation),
        *(DecoderCalled, Action, FinalAnswer, RunEnded),
    ],
}


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_events(three, loop, mode):
    agent = Agent(three(mode, ("add", {"a": 2, "b": 3})), [loop.tool()], mode=mode)
    events = list(agent.stream("2 + 3?"))
    assert [type(event) for event in events if not isinstance(event, ThoughtDelta)] == ORDER[mode]
    (observation,) = loop.of(events, Observation)
    assert (observation.text, observation.error, observation.untrusted) == ("5", False, False)
    result = events[-1].result
    assert (result.answer, result.ended, result.ok) == ("done", "answer", True)
    assert [(m.role, m.text) for m in result.messages] == [("user", "2 + 3?"), ("assistant", "done")]


@pytest.mark.parametrize("mode", MODES)
def test_sync_and_async_streams_and_runs_give_the_same(three, loop, mode):
    def agent():
        return Agent(three(mode, ("add", {"a": 2, "b": 3})), [loop.tool()], mode=mode)

    async def gather():
        return [event async for event in agent().astream("2 + 3?")]

    def shape(events):
        return [(type(event), getattr(event, "text", "")) for event in events]

    streamed = list(agent().stream("2 + 3?"))
    assert shape(asyncio.run(gather())) == shape(streamed)
    ran, awaited = agent().run("2 + 3?"), asyncio.run(agent().arun("2 + 3?"))
    assert ran.messages == awaited.messages == streamed[-1].result.messages
    assert ran.spent.steps == awaited.spent.steps == 2
    assert ran.spent.tool_calls == 1


@pytest.mark.parametrize("mode", MODES)
def test_each_prompt_is_the_beginning_of_the_next(three, loop, mode):
    decoder = three(mode, ("add", {"a": 1, "b": 1}), ("echo", {"text": "hi"}), ("nothing", {}))
    echo = loop.tool("echo", lambda text: f"{text}!", {"type": "object", "properties": {"text": {"type": "string"}}})
    if mode == "constrained":  # which cannot name a tool that is not there
        decoder = three(mode, ("add", {"a": 1, "b": 1}), ("echo", {"text": "hi"}))
    Agent(decoder, [loop.tool(), echo], mode=mode).run("Add, echo.")
    prompts = [request.messages for request in decoder.requests]
    assert len(prompts) >= 4
    for before, after in pairwise(prompts):
        assert after[: len(before)] == before
        assert len(after) > len(before)


@pytest.mark.parametrize("mode", MODES)
def test_the_listeners_know_of_a_call_before_it_is_made(three, loop, mode):
    heard, known = [], []

    def add(a, b):
        known.append([type(event) for event in heard])
        return a + b

    agent = Agent(three(mode, ("add", {"a": 1, "b": 2})), [loop.tool(run=add)], mode=mode)
    agent.run("Add.", listeners=[heard.append])
    assert known[0][-1] is ToolStarted


def test_what_a_listener_raises_ends_the_run_before_the_call(loop):
    calls = []

    def full_disk(event):
        if isinstance(event, ToolStarted):
            raise OSError("disk full")

    agent = Agent(loop.scripted(loop.call("add", a=1, b=2)), [loop.tool(run=lambda a, b: calls.append(a))])
    with pytest.raises(OSError, match="disk full"):
        agent.run("Add.", listeners=[full_disk])
    assert calls == []


def test_a_thought_is_bounded_and_its_truncation_is_no_fault(loop):
    decoder = ScriptedDecoder(["one two three four five", loop.answer()])
    events = list(Agent(decoder, thought_tokens=3).stream("Think."))
    (thought,) = loop.of(events, Thought)
    assert (thought.text, thought.truncated) == ("one two three", True)
    assert events[-1].result.ok
    assert events[-1].result.spent.truncations == 0


def test_a_thought_ends_where_it_begins_to_act(loop):
    decoder = ScriptedDecoder(["I add.\nAction: add(1)\nObservation: 7", loop.answer()])
    events = list(Agent(decoder).stream("Think."))
    assert loop.of(events, Thought)[0].text == "I add."
    assert "".join(event.text for event in loop.of(events, ThoughtDelta)) == "I add."


def test_without_thoughts_there_is_one_call_a_step(loop):
    decoder = ScriptedDecoder([loop.call("add", a=1, b=2), loop.answer()])
    events = list(Agent(decoder, [loop.tool()], thought_tokens=0).stream("Add."))
    assert loop.of(events, Thought) == []
    assert len(decoder.requests) == 2
    assert events[-1].result.ok


def test_stop_strings_of_the_user_do_not_cut_an_action(loop):
    decoder = ScriptedDecoder(["I", loop.answer("a, b")])
    assert Agent(decoder, sampling=Sampling(stop=(",",))).run("List.").answer == "a, b"
    assert decoder.requests[0].sampling.stop[0] == ","


# Truncation


@pytest.mark.parametrize("mode", MODES)
def test_an_action_that_is_cut_off_is_not_carried_out(loop, mode):
    calls = []
    long = {"a": 1, "b": 2, "c": "word " * 30}
    cut = {"native": long["c"], "text": f"Action: {loop.call('add', **long)}", "constrained": loop.call("add", **long)}
    lines = [cut[mode], "Final Answer: x" if mode == "text" else "x" if mode == "native" else loop.answer()]
    agent = Agent(
        loop.scripted(*lines, mode=mode),
        [loop.tool(run=lambda **_: calls.append(1))],
        mode=mode,
        thought_tokens=4,
        action_tokens=9,
    )
    events = list(agent.stream("Go."))
    (cut_off,) = loop.of(events, Truncated)
    assert cut_off.max_tokens == (9 if mode == "constrained" else 13)
    assert calls == []
    assert events[-1].result.ok
    assert events[-1].result.spent.truncations == 1
    assert any("cut off" in message.text for message in agent.decoder.requests[-1].messages)


@pytest.mark.parametrize("mode", MODES)
def test_three_truncations_in_a_row_end_the_run(loop, mode):
    long = "word " * 40
    decoder = loop.scripted(*[long] * 5, mode=mode)
    result = Agent(decoder, [loop.tool()], mode=mode, thought_tokens=4, action_tokens=9).run("Go.")
    assert (result.ended, result.answer, result.spent.truncations, result.spent.steps) == ("truncated", None, 3, 3)


def test_an_action_in_between_starts_the_count_again(loop):
    cut, good = "word " * 40, loop.call("add", a=1, b=2)
    decoder = loop.scripted(cut, cut, good, cut, cut, loop.answer())
    result = Agent(decoder, [loop.tool()], action_tokens=9).run("Go.")
    assert result.ok
    assert result.spent.truncations == 4


def test_an_answer_in_text_that_is_cut_off_is_no_answer(loop):
    decoder = loop.scripted("Final Answer: one two three four five six", "Final Answer: short", mode="text")
    result = Agent(decoder, mode="text", thought_tokens=2, action_tokens=3).run("Go.")
    assert result.answer == "short"


# What decoders do wrong


def test_an_unreadable_action_is_asked_for_once_more(loop):
    decoder = loop.scripted("Action: add({oops})", "Action: add(a=1, b=2)", "Final Answer: 3", mode="text")
    events = list(Agent(decoder, [loop.tool()], mode="text").stream("Add."))
    (unreadable,) = loop.of(events, Unparsable)
    assert "key in quotes" in unreadable.cause
    assert unreadable.cause in decoder.requests[1].messages[-1].text
    assert events[-1].result.answer == "3"
    assert events[-1].result.spent.repairs == 1


def test_after_one_repair_the_error_is_typed_and_holds_what_was_written(loop):
    decoder = loop.scripted("Hello!", "Hello again!", mode="text")
    with pytest.raises(UnparsableAction, match="twice in a row") as caught:
        Agent(decoder, [loop.tool()], mode="text").run("Add.")
    assert caught.value.text == "Hello again!"


def test_repairs_in_different_steps_are_each_their_own(loop):
    good = "Action: add(a={}, b=2)"
    decoder = loop.scripted("Hm.", good.format(1), "Hm.", good.format(2), "Hm.", "Final Answer: 3", mode="text")
    result = Agent(decoder, [loop.tool()], mode="text").run("Add.")
    assert (result.answer, result.spent.repairs) == ("3", 3)


def test_the_generation_stops_before_an_observation_could_be_invented(loop):
    written = "Thought: so.\nAction: add(a=1, b=2)\nObservation: 99\nFinal Answer: 99"
    decoder = loop.scripted(written, "Final Answer: 3", mode="text")
    events = list(Agent(decoder, [loop.tool()], mode="text").stream("Add."))
    assert loop.of(events, Observation)[0].text == "3"
    assert all("99" not in message.text for request in decoder.requests for message in request.messages)


def test_malformed_native_arguments_are_never_empty_ones(loop):
    calls = []
    decoder = loop.scripted(loop.native(("now", '{"zone": ')), loop.native(("now", {})), "noon", mode="native")
    now = loop.tool("now", lambda: calls.append(1) or "12:00", {"type": "object", "properties": {}})
    events = list(Agent(decoder, [now], mode="native").stream("Time?"))
    (unreadable,) = loop.of(events, Unparsable)
    assert "no JSON object" in unreadable.cause
    assert '{"zone": ' in decoder.requests[1].messages[-2].text
    assert calls == [1]
    assert events[-1].result.answer == "noon"


def test_malformed_native_arguments_twice_are_an_error(loop):
    decoder = loop.scripted(*[loop.native(("now", "[]"))] * 2, mode="native")
    with pytest.raises(UnparsableAction):
        Agent(decoder, [loop.tool("now")], mode="native").run("Time?")


def test_saying_nothing_is_no_answer(loop):
    decoder = loop.scripted("  ", "noon", mode="native")
    assert Agent(decoder, mode="native").run("Time?").answer == "noon"


@pytest.mark.parametrize("mode", ["native", "text"])
def test_a_tool_that_is_not_there_is_an_observation(loop, three, mode):
    events = list(Agent(three(mode, ("gone", {})), [loop.tool()], mode=mode).stream("Go."))
    (observation,) = loop.of(events, Observation)
    assert observation.error
    assert not observation.ran
    assert "Tools: add, final_answer" in observation.text


@pytest.mark.parametrize("said", ['{"name": "gone", "arguments": {}}', "certainly", '{"name": "add"}'])
def test_an_action_outside_of_its_constraint_ends_the_run(loop, said):
    class Lenient(ScriptedDecoder):
        async def acomplete(self, prompt, *, sampling=None, constraint=None, tools=()):
            return await super().acomplete(prompt, sampling=sampling, tools=tools)

    with pytest.raises(ConstraintIgnored):
        Agent(Lenient(["I go.", said]), [loop.tool()]).run("Go.")


def test_a_script_is_held_to_the_constraint(loop):
    with pytest.raises(ConstraintIgnored):
        Agent(loop.scripted(loop.call("add", a="one", b=2)), [loop.tool()]).run("Add.")


def test_constrained_actions_need_a_decoder_that_can(loop):
    decoder = loop.scripted("Final Answer: 3", mode="text")
    with pytest.raises(ConstraintRefused):
        Agent(decoder, mode="constrained").run("Add.")
    assert Agent(decoder).run("Add.").answer == "3"


@pytest.mark.parametrize("mode", MODES)
def test_what_the_decoder_raises_ends_the_run_as_it_is(loop, mode):
    decoder = ScriptedDecoder([ServerFailed("asking", "it died")], constraints=("json",) if mode == MODES[0] else ())
    with pytest.raises(ServerFailed, match="it died"):
        Agent(decoder, mode=mode).run("Go.")


# Native ids


def test_ids_that_a_server_repeats_are_told_apart(loop):
    calls = []
    write = loop.tool("put", lambda a, b: calls.append((a, b)), effect="write")
    acts = [loop.native(("put", {"a": n, "b": 0}), ids=["same"]) for n in range(2)]
    decoder = loop.scripted(*acts, "done", mode="native")
    events = list(Agent(decoder, [write], mode="native").stream("Put."))
    assert calls == [(0, 0), (1, 0)]
    ids = [event.call.id for event in loop.of(events, ToolStarted)]
    assert ids[0] == "same"
    assert len(set(ids)) == 2
    results = [m.tool_call_id for m in decoder.requests[-1].messages if m.role == "tool"]
    asked = [c.id for m in decoder.requests[-1].messages for c in m.tool_calls]
    assert results == asked == ids


# Several calls


def test_several_reads_run_side_by_side(loop):
    meeting = threading.Barrier(2, timeout=5)
    meet = loop.tool("meet", lambda a, b: meeting.wait() + a * 0)
    decoder = loop.scripted(f"[{loop.call('meet', a=1, b=1)}, {loop.call('meet', a=2, b=2)}]", f"[{loop.answer()}]")
    events = list(Agent(decoder, [meet], parallel=True).stream("Meet."))
    assert [event.error for event in loop.of(events, Observation)] == [False, False]
    assert events[-1].result.spent.tool_calls == 2


def test_async_reads_run_side_by_side_too(loop):
    both = asyncio.Barrier(2)

    async def meet(a, b):
        return await both.wait() + a * 0

    decoder = loop.scripted(f"[{loop.call('meet', a=1, b=1)}, {loop.call('meet', a=2, b=2)}]", f"[{loop.answer()}]")
    events = list(Agent(decoder, [loop.tool("meet", meet, timeout=5)], parallel=True).stream("Meet."))
    assert not any(event.error for event in loop.of(events, Observation))


def test_effects_run_one_by_one_in_order_after_the_reads(loop):
    log = []

    def logged(name, seconds):
        def run(a, b):
            log.append(f"{name} {a} begins")
            time.sleep(seconds)
            log.append(f"{name} {a} ends")
            return a

        return run

    write = loop.tool("write", logged("write", 0.02), effect="write")
    read = loop.tool("read", logged("read", 0.0))
    acts = [loop.call("write", a=1, b=0), loop.call("read", a=2, b=0), loop.call("write", a=3, b=0)]
    agent = Agent(loop.scripted(f"[{', '.join(acts)}]", f"[{loop.answer()}]"), [read, write], parallel=True)
    events = list(agent.stream("Go."))
    assert log == [f"{name} {verb}" for name in ("read 2", "write 1", "write 3") for verb in ("begins", "ends")]
    shown = agent.decoder.requests[-1].messages[-3].text
    assert shown.index("write gave: 1") < shown.index("read gave: 2") < shown.index("write gave: 3")
    assert events[-1].result.ok


@pytest.mark.parametrize("first", [True, False])
def test_an_answer_among_other_calls_waits_for_them(loop, first):
    both = [("final_answer", {"answer": "early"}), ("add", {"a": 1, "b": 2})]
    decoder = loop.scripted(loop.native(*(both if first else both[::-1])), "late", mode="native")
    events = list(Agent(decoder, [loop.tool()], mode="native", parallel=True).stream("Go."))
    refused, gave = sorted(loop.of(events, Observation), key=lambda event: event.ran)
    assert "stands alone" in refused.text
    assert gave.text == "3"
    assert events[-1].result.answer == "late"


def test_a_constrained_answer_cannot_be_among_other_calls(loop):
    decoder = loop.scripted(f"[{loop.call('add', a=1, b=2)}, {loop.answer()}]")
    with pytest.raises(ConstraintIgnored):
        Agent(decoder, [loop.tool()], parallel=True).run("Go.")


# Cancelling


async def test_closing_the_stream_cancels_the_running_tool(loop):
    cancelled = asyncio.Event()

    async def forever(a, b):
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    agent = Agent(loop.scripted(loop.call("wait", a=1, b=2)), [loop.tool("wait", forever)])
    events = agent.astream("Wait.")
    async for event in events:
        if isinstance(event, ToolStarted):
            reading = asyncio.create_task(anext(events))
            await asyncio.sleep(0.05)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            break
    await close_events(events)
    assert cancelled.is_set()


def test_leaving_a_sync_stream_makes_no_further_call(loop):
    calls = []
    agent = Agent(loop.scripted(loop.call("add", a=1, b=2)), [loop.tool(run=lambda a, b: calls.append(a))])
    for event in agent.stream("Add."):
        if isinstance(event, ToolStarted):
            break
    assert calls == []
    assert len(agent.decoder.requests) == 2


# Typed answers


class Person(BaseModel):
    name: str
    age: int = Field(ge=0, le=150)


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def even(cls, number):
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number


@dataclass
class Point:
    x: int
    y: int


class Movie(TypedDict):
    title: str
    year: int


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
TYPED = [
    (Person, {"name": "Ada", "age": 36}, Person(name="Ada", age=36)),
    (Point, {"x": 1, "y": 2}, Point(1, 2)),
    (Movie, {"title": "M", "year": 1931}, {"title": "M", "year": 1931}),
    (SCHEMA, {"n": 3}, {"n": 3}),
    ({"type": "integer"}, {"answer": 3}, 3),
    (int, {"answer": 42}, 42),
    (list[Point], {"answer": [{"x": 1, "y": 2}]}, [Point(1, 2)]),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("output", "arguments", "value"), TYPED)
def test_a_typed_answer_is_an_instance_of_its_type(loop, mode, output, arguments, value):
    action = loop.call("final_answer", **arguments)
    if mode == "native":
        action = loop.native(("final_answer", arguments))
    elif mode == "text":
        action = f"Action: {action}"
    agent = Agent(loop.scripted(action, mode=mode), mode=mode, output=output)
    assert agent.run("Who?").answer == value


@pytest.mark.parametrize("mode", ["native", "text"])
@pytest.mark.parametrize(("output", "arguments", "value"), TYPED)
def test_a_typed_answer_that_is_wrong_is_asked_for_again(loop, mode, output, arguments, value):
    acts = [loop.native(("final_answer", each)) for each in ({"bad": []}, arguments)]
    if mode == "text":
        acts = [f"Action: {loop.call('final_answer', **each)}" for each in ({"bad": []}, arguments)]
    events = list(Agent(loop.scripted(*acts, mode=mode), mode=mode, output=output).stream("Who?"))
    (observation,) = loop.of(events, Observation)
    assert "not valid" in observation.text
    assert events[-1].result.answer == value


def test_a_rule_that_no_schema_says_is_checked_too(loop):
    decoder = loop.scripted(loop.call("final_answer", number=3), loop.call("final_answer", number=4))
    events = list(Agent(decoder, output=Even).stream("An even number?"))
    assert "3 is odd" in loop.of(events, Observation)[0].text
    assert events[-1].result.answer == Even(number=4)


def test_a_typed_native_answer_needs_its_tool(loop):
    decoder = loop.scripted("It is 42.", loop.native(("final_answer", {"answer": 42})), mode="native")
    events = list(Agent(decoder, mode="native", output=int).stream("What?"))
    assert len(loop.of(events, Unparsable)) == 1
    assert events[-1].result.answer == 42


def test_hints_come_after_the_observations_of_their_step(loop):
    again = f"[{loop.call('add', a=1, b=2)}, {loop.call('add', a=2, b=2)}]"
    decoder = loop.scripted(again, again, f"[{loop.answer()}]")
    events = list(Agent(decoder, [loop.tool()], parallel=True).stream("Add."))
    kinds = [type(event) for event in events if isinstance(event, (Observation, Hint))]
    assert kinds == [Observation] * 4 + [Hint]


def test_a_run_goes_on_from_an_earlier_one(loop):
    first = Agent(loop.scripted(loop.answer("Ada"))).run("Who?")
    agent = Agent(loop.scripted(loop.answer("1815")))
    second = agent.run("When was she born?", after=first)
    assert [m.text for m in agent.decoder.requests[0].messages[1:3]] == ["Who?", "Ada"]
    assert [m.text for m in second.messages] == ["Who?", "Ada", "When was she born?", "1815"]


def test_the_budget_of_a_run_is_its_own(loop):
    agent = Agent(loop.scripted(loop.answer(), loop.answer()), budget=Budget(steps=1))
    assert agent.run("One.").ok
    assert agent.run("Two.").ok


# Policy, where the loop makes it hold


def test_a_limit_holds_inside_one_action_too(loop):
    calls = []
    put = loop.tool("put", lambda a, b: calls.append(a), effect="write")
    decoder = loop.scripted(f"[{loop.call('put', a=1, b=0)}, {loop.call('put', a=2, b=0)}]", f"[{loop.answer()}]")
    agent = Agent(decoder, [put], parallel=True, policy=Policy(limits={"put": 1}))
    events = list(agent.stream("Put."))
    assert calls == [1]
    assert "which is the limit" in next(event.text for event in loop.of(events, Observation) if not event.ran)


def test_a_yes_to_one_call_is_none_to_another_of_the_same_id(loop):
    asked = []
    put = loop.tool("put", lambda a, b: a, effect="write")
    acts = [loop.native(("put", {"a": n, "b": 0}), ids=["same"]) for n in range(2)]

    def approve(request):
        asked.append(request.call.arguments["a"])
        return len(asked) == 1

    policy = Policy(ask_for=frozenset({"write"}), approve=approve)
    agent = Agent(loop.scripted(*acts, "done", mode="native"), [put], mode="native", policy=policy)
    events = list(agent.stream("Put."))
    assert asked == [0, 1]
    assert [event.ran for event in loop.of(events, Observation)] == [True, False]


def test_nobody_is_waited_for_longer_than_the_run_lasts(loop):
    async def approve(request):
        await asyncio.sleep(60)

    policy = Policy(ask_for=frozenset({"write"}), approve=approve)
    put = loop.tool("put", effect="write")
    agent = Agent(loop.scripted(loop.call("put", a=1, b=2)), [put], policy=policy, budget=Budget(seconds=0.2))
    result = agent.run("Put.")
    assert (result.ended, result.spent.approvals_asked, result.spent.approvals_given) == ("seconds", 1, 0)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_listener_that_ends_the_program_ends_the_run_and_the_loop_lives_on(loop, error):
    def leaves(event):
        raise error

    with pytest.raises(RuntimeError, match=f"a listener raised {type(error).__name__}"):
        Agent(loop.scripted(loop.answer()), listeners=[leaves]).run("Go.")
    assert Agent(loop.scripted(loop.answer("here"))).run("Go.").answer == "here"
