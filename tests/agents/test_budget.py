"""Budgets: each of them ends a run, the result says which one, and a worker stays inside its parent's."""

import asyncio
import time

import pytest

from agents import Agent, Budget
from agents.budget import Meter
from agents.events import Action, Hint, Observation, Spent, ToolStarted, Truncated
from decoder import ContextOverflow, ScriptedDecoder, UsageError
from decoder.base import run_sync
from decoder.types import Usage


def adds(loop, count):
    return [loop.call("add", a=n, b=1) for n in range(count)]


def test_the_last_step_may_only_answer(loop):
    decoder = loop.scripted(*adds(loop, 2), loop.answer("enough"))
    events = list(Agent(decoder, [loop.tool()], budget=Budget(steps=3)).stream("Add."))
    (hint,) = loop.of(events, Hint)
    assert hint.force_answer
    assert "last step" in hint.text
    assert (events[-1].result.answer, events[-1].result.spent.steps) == ("enough", 3)
    allowed = decoder.requests[-1].constraint.value["properties"]["name"]
    assert allowed == {"const": "final_answer"}


@pytest.mark.parametrize("mode", ["native", "text"])
def test_another_call_in_the_last_step_is_not_made(loop, mode):
    calls = []
    act = loop.native(("put", {"a": 1, "b": 1})) if mode == "native" else "Action: put(a=1, b=1)"
    tool = loop.tool("put", lambda a, b: calls.append(a), effect="write")
    agent = Agent(loop.scripted(act, act, mode=mode), [tool], mode=mode, budget=Budget(steps=2))
    events = list(agent.stream("Put."))
    assert calls == [1]
    assert "Only final_answer" in loop.of(events, Observation)[-1].text
    assert (events[-1].result.ended, events[-1].result.answer) == ("steps", None)
    assert agent.decoder.requests[-1].tools == ()


@pytest.mark.parametrize("over", [0, 1])
def test_an_action_takes_what_a_small_context_has_left_and_no_scrap_of_it(loop, over):
    told = [*adds(loop, 1), loop.answer()]
    enough = loop.scripted(*told)
    Agent(enough, [loop.tool()]).run("Add.")
    longest = max(run_sync(enough.acount_tokens(request.messages)) for request in enough.requests)
    short = loop.scripted(*told, context_length=longest + 64 - over)
    if over:
        with pytest.raises(ContextOverflow):
            Agent(short, [loop.tool()]).run("Add.")
    else:
        assert Agent(short, [loop.tool()]).run("Add.").ok
        assert short.requests[-1].sampling.max_tokens == 64


def test_no_step_is_no_call_of_the_decoder(loop):
    decoder = loop.scripted()
    assert Agent(decoder, budget=Budget(steps=0)).run("Add.").ended == "steps"
    assert decoder.requests == []


def test_after_the_last_tool_call_the_agent_must_answer(loop):
    decoder = loop.scripted(*adds(loop, 2), loop.answer())
    events = list(Agent(decoder, [loop.tool()], budget=Budget(tool_calls=2)).stream("Add."))
    assert "No tool call is left" in loop.of(events, Hint)[0].text
    assert events[-1].result.spent.tool_calls == 2
    assert events[-1].result.ok


def test_calls_side_by_side_do_not_exceed_the_budget(loop):
    decoder = loop.scripted(f"[{', '.join(adds(loop, 3))}]", f"[{loop.answer()}]")
    agent = Agent(decoder, [loop.tool()], budget=Budget(tool_calls=2), parallel=True)
    events = list(agent.stream("Add."))
    assert len(loop.of(events, ToolStarted)) == 2
    assert [event.text for event in loop.of(events, Observation) if not event.ran] == [
        "No tool call is left in the budget."
    ]
    assert events[-1].result.ok


def test_tokens_end_a_run_before_a_prompt_that_does_not_fit_is_sent(loop):
    decoder = loop.scripted(*adds(loop, 50))
    budget = Budget(tokens=2_000, steps=None, tool_calls=None)
    result = Agent(decoder, [loop.tool()], budget=budget).run("Add.")
    assert (result.ended, result.answer) == ("tokens", None)
    assert 1_000 < result.spent.tokens <= 2_000


@pytest.mark.parametrize("tokens", range(1, 700, 23))
def test_tokens_are_never_exceeded(loop, tokens):
    decoder = loop.scripted(*adds(loop, 9))
    result = Agent(decoder, [loop.tool()], budget=Budget(tokens=tokens, steps=None)).run("Add.")
    assert result.ended == "tokens"
    assert result.spent.tokens <= tokens


def test_what_is_left_bounds_a_completion(loop):
    decoder = ScriptedDecoder(["word " * 500])
    probe = Agent(ScriptedDecoder(["x", loop.answer()]))
    probe.run("Go.")
    prompt = sum(len(message.text.split()) for message in probe.decoder.requests[0].messages)
    result = Agent(decoder, thought_tokens=400, budget=Budget(tokens=prompt + 10)).run("Go.")
    assert decoder.requests[0].sampling.max_tokens == 10
    assert (result.ended, result.spent.tokens) == ("tokens", prompt + 10)


@pytest.mark.parametrize("streamed", [True, False])
def test_seconds_cancel_the_decoder(loop, streamed):
    class Slow(ScriptedDecoder):
        async def acomplete(self, prompt, **options):
            await asyncio.sleep(30)

    agent = Agent(Slow([]), budget=Budget(seconds=0.05))
    began = time.monotonic()
    result = list(agent.stream("Go."))[-1].result if streamed else agent.run("Go.")
    assert result.ended == "seconds"
    assert time.monotonic() - began < 10


def test_seconds_end_a_stream_between_its_words_in_sync_code_too(loop):
    decoder = ScriptedDecoder(["word " * 1000], delay=0.01)
    events = list(Agent(decoder, thought_tokens=2000, budget=Budget(seconds=0.1)).stream("Go."))
    assert events[-1].result.ended == "seconds"


async def test_a_slow_reader_is_not_cancelled(loop):
    """The run's time may be over while its reader does something else; that is no business of the run's."""
    decoder = ScriptedDecoder(["one two three", loop.answer()], delay=0.001)
    ended = []
    async for event in Agent(decoder, budget=Budget(seconds=0.05)).astream("Go."):
        await asyncio.sleep(0.03)
        ended.append(event)
    assert ended[-1].result.ended == "seconds"


def test_a_timeout_of_the_decoders_own_is_not_the_budgets(loop):
    with pytest.raises(TimeoutError, match="its own"):
        Agent(ScriptedDecoder([TimeoutError("its own")])).run("Go.")


def test_seconds_cancel_a_tool(loop):
    async def forever(a, b):
        await asyncio.sleep(60)

    agent = Agent(loop.scripted(loop.call("add", a=1, b=1)), [loop.tool(run=forever)], budget=Budget(seconds=0.2))
    events = list(agent.stream("Go."))
    assert "did not end within" in loop.of(events, Observation)[0].text
    assert events[-1].result.ended == "seconds"


def test_no_effect_begins_when_the_time_is_over(loop):
    async def slow(a, b):
        await asyncio.sleep(60)

    calls = []
    first = loop.tool("slow", slow)
    then = loop.tool("put", lambda a, b: calls.append(a), effect="write")
    decoder = loop.scripted(f"[{loop.call('slow', a=1, b=1)}, {loop.call('put', a=1, b=1)}]")
    events = list(Agent(decoder, [first, then], parallel=True, budget=Budget(seconds=0.2)).stream("Go."))
    assert calls == []
    assert loop.of(events, Observation)[-1].text == "No time is left in the budget."
    assert events[-1].result.ended == "seconds"


class Priced(ScriptedDecoder):
    """Says that half of every prompt came from the cache."""

    async def acomplete(self, prompt, **options):
        from dataclasses import replace

        made = await super().acomplete(prompt, **options)
        return replace(made, usage=Usage(1_000_000, 100_000, 500_000))


def test_money_is_counted_and_ends_a_run(loop):
    budget = Budget(tokens=None, cost=9.0, prompt_price=2.0, cached_price=1.0, completion_price=10.0)
    decoder = Priced([line for n, act in enumerate(adds(loop, 9)) for line in (f"{n}", act)])
    result = Agent(decoder, [loop.tool()], budget=budget).run("Add.")
    # One call costs 0.5 * 2 + 0.5 * 1 + 0.1 * 10 = 2.5, and each step makes two.
    assert (result.ended, result.spent.cost, result.spent.cached_tokens) == ("cost", 10.0, 2_000_000)


def test_a_price_for_cached_tokens_is_the_prompts_own_unless_given():
    assert Budget(prompt_price=2.0).price(Usage(1_000_000, 0, 400_000)) == 2.0
    assert Budget(prompt_price=2.0, cached_price=0.0).price(Usage(1_000_000, 0, 400_000)) == pytest.approx(1.2)


@pytest.mark.parametrize("field", ["steps", "tokens", "seconds", "tool_calls", "cost", "prompt_price"])
@pytest.mark.parametrize("value", [-1, float("nan")])
def test_a_budget_below_nothing_is_refused(field, value):
    with pytest.raises(UsageError, match=field):
        Budget(**{field: value})


def test_a_worker_spends_of_its_parents_budget():
    parent = Meter(Budget(tokens=100, tool_calls=3))
    worker = Meter(Budget(tokens=1_000, tool_calls=9), parent=parent)
    worker.use(Usage(40, 20))
    worker.add(tool_calls=2, steps=5)
    assert (parent.spent.tokens, parent.spent.tool_calls, parent.spent.steps) == (60, 2, 0)
    assert (worker.tokens_left(), worker.calls_left()) == (40, 1)
    worker.add(tool_calls=1)
    assert "No tool call" in worker.must_answer()
    worker.use(Usage(40, 0))
    assert worker.exhausted() == "tokens"


def test_the_last_step_of_a_parent_still_leaves_its_workers_their_own():
    grandparent = Meter(Budget(tokens=50))
    parent = Meter(Budget(steps=1), parent=grandparent)
    parent.add(steps=1)
    worker = Meter(Budget(), parent=parent)
    assert parent.exhausted() == "steps"
    assert worker.exhausted() is None
    grandparent.use(Usage(50, 0))
    assert worker.exhausted() == "tokens"


def test_a_resumed_run_goes_on_counting():
    meter = Meter(Budget(seconds=10), spent=Spent(steps=2, seconds=9.0, prompt_tokens=5))
    assert meter.seconds_left() <= 1.0
    meter.add(steps=1)
    assert (meter.spent.steps, meter.spent.tokens) == (3, 5)


def test_the_result_says_what_the_run_cost(loop):
    decoder = loop.scripted(loop.call("add", a=1, b=2), "word " * 50, loop.answer())
    events = list(Agent(decoder, [loop.tool()], action_tokens=20).stream("Add."))
    spent = events[-1].result.spent
    assert (spent.steps, spent.tool_calls, spent.truncations, spent.repairs) == (3, 1, 1, 0)
    assert spent.tokens == spent.prompt_tokens + spent.completion_tokens > 100
    assert spent.seconds > 0
    assert len(loop.of(events, Truncated)) == 1
    assert len(loop.of(events, Action)) == 2
