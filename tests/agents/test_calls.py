"""Carrying out a call: whatever the function does, there is one observation, bounded in time and in text."""

import asyncio
import dataclasses
import threading
import time

import pytest
from pydantic import BaseModel

from agents import Agent, Secret, Tool
from agents.calls import as_text, call_function, carry_out, shorten, validated, within
from agents.errors import ToolError
from agents.events import Call, Observation, ToolStarted
from agents.secret import redactor
from decoder.errors import ServiceError

CALL = Call("c", "it", {})


def observe(run, *, seconds=None, redact=str, **options):
    tool = Tool("it", "", {"type": "object"}, run, **{"effect": "read", **options})
    return asyncio.run(carry_out(1, CALL, tool, {}, seconds, redact))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_tool_that_takes_too_long_is_an_observation(kind):
    async def sleep():
        await asyncio.sleep(30)

    began = time.monotonic()
    seen = observe(sleep if kind == "async" else lambda: time.sleep(1.5), timeout=0.05)
    assert time.monotonic() - began < 1.4
    assert seen.error
    assert seen.text == "It did not end within 0.05 s."


def test_it_is_said_that_an_effect_may_have_taken_place():
    assert "may have taken effect" in observe(lambda: time.sleep(0.3), timeout=0.05, effect="write").text


def test_what_is_left_of_the_run_bounds_a_tool():
    assert observe(lambda: time.sleep(0.3), seconds=0.05).text.startswith("It did not end within 0.05 s")


def test_a_coroutine_that_does_not_heed_its_cancellation_is_left_behind(monkeypatch):
    monkeypatch.setattr("agents.calls.GRACE", 0.05)
    ended = []

    async def deaf():
        for _ in range(2):
            try:
                await asyncio.sleep(0.3)
            except asyncio.CancelledError:
                continue
        ended.append(1)

    async def main():
        tool = Tool("it", "", {"type": "object"}, deaf, effect="read", timeout=0.05)
        seen = await carry_out(1, CALL, tool, {}, None, str)
        early = list(ended)
        await asyncio.sleep(0.4)
        return seen, early

    seen, early = asyncio.run(main())
    assert "did not end" in seen.text
    assert early == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (TimeoutError("the site is slow"), "TimeoutError: the site is slow"),
        (ServiceError("asking", "it is down", "Wait"), "asking: it is down. Wait"),
        (StopIteration("x"), "RuntimeError: StopIteration: x"),
        (SystemExit(3), "RuntimeError: SystemExit: 3"),
        (KeyboardInterrupt("now"), "RuntimeError: KeyboardInterrupt: now"),
        (asyncio.CancelledError(), "RuntimeError: "),
        (KeyError("k"), "KeyError: 'k'"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_a_tool_raises_is_the_observation(kind, error, text):
    def fail():
        raise error

    async def afail():
        raise error

    if isinstance(error, StopIteration) and kind == "async":
        text = "RuntimeError: "
    seen = observe(afail if kind == "async" else fail)
    assert seen.error
    assert seen.ran
    assert seen.untrusted
    assert seen.text.startswith(text)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("now")])
def test_a_validator_or_a_coroutine_of_a_plain_function_that_ends_the_program_is_an_observation(error):
    async def fail():
        raise error

    assert type(error).__name__ in observe(lambda: fail()).text

    def refuse(arguments):
        raise error

    wrong = validated(CALL, Tool("it", "", {"type": "object"}, print, refuse), str)
    assert wrong.startswith("The arguments are not valid")


def test_a_long_error_is_shortened_and_no_secret_is_cut_in_half():
    secret = Secret("key", "s3cr3t-value-of-some-length")

    def fail():
        raise ValueError("x" * 570 + secret.value)

    seen = observe(fail, redact=redactor([secret]))
    assert len(seen.text) <= 600
    assert "s3cr3t" not in seen.text


@pytest.mark.parametrize("value", [{(1, 2): 3}, {"loop": None}])
def test_a_result_that_cannot_be_written_is_an_error_and_no_endless_run(value):
    if "loop" in value:
        value["loop"] = value
    seen = observe(lambda: value)
    assert seen.error
    assert seen.ran


class Pet(BaseModel):
    name: str


@dataclasses.dataclass
class Pair:
    left: int
    right: Pet


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (None, "null"),
        (3.5, "3.5"),
        ({"ä": [1]}, '{"ä": [1]}'),
        (Pet(name="Rex"), '{"name":"Rex"}'),
        ([Pet(name="Rex")], '[{"name": "Rex"}]'),
        (Pair(1, Pet(name="Rex")), '{"left": 1, "right": {"name": "Rex"}}'),
        ({1, 2}, "[1, 2]"),
        (b"x", "\"b'x'\""),
    ],
)
def test_results_as_text(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "untrusted"), [("text", True), (["a"], True), (3, False), (True, False), (None, False)]
)
def test_only_what_cannot_carry_instructions_is_trusted(value, untrusted):
    assert observe(lambda: value).untrusted is untrusted
    assert observe(lambda: value, trusted=True).untrusted is False


def test_a_long_result_is_cut_in_its_middle_with_a_notice():
    seen = observe(lambda: "a" * 900 + "z" * 300, max_characters=400)
    assert seen.omitted == 800
    assert seen.text == "a" * 300 + "\n[… 800 characters left out …]\n" + "z" * 100
    assert shorten("short", 5) == ("short", 0)


def test_a_sync_tool_does_not_hold_up_the_loop():
    async def main():
        ticks = 0
        running = asyncio.create_task(call_function(lambda: time.sleep(0.2), {}))
        while not running.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(main()) > 3


def test_a_plain_function_that_gives_an_awaitable_is_awaited():
    async def later():
        return 3

    assert asyncio.run(call_function(lambda: later(), {})) == 3


def test_async_callables_of_any_kind_run_on_the_loop():
    class Callable:
        async def __call__(self):
            return threading.current_thread()

    assert asyncio.run(call_function(Callable(), {})) is threading.main_thread()
    assert asyncio.run(call_function(threading.current_thread, {})) is not threading.main_thread()


async def test_cancelling_the_waiter_cancels_what_it_waits_for():
    cancelled = asyncio.Event()

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    waiting = asyncio.create_task(within(60, forever()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled.is_set()


def test_wrong_arguments_are_told_without_secrets():
    secret = Secret("key", "s3cr3t-value")

    def validate(arguments):
        raise KeyError("s3cr3t-value")

    tool = Tool("it", "", {"type": "object"}, dict, validate)
    assert validated(CALL, tool, redactor([secret])) == "The arguments are not valid: '[secret key]'"


def test_a_tool_is_not_called_with_wrong_arguments(loop):
    calls = []

    def validate(arguments):
        raise ValueError("b must be above a")

    tool = loop.tool(run=lambda a, b: calls.append(a), validate=validate)
    events = list(Agent(loop.scripted(loop.call("add", a=2, b=1), loop.answer()), [tool]).stream("Go."))
    (seen,) = loop.of(events, Observation)
    assert seen.text == "The arguments are not valid: b must be above a"
    assert not seen.ran
    assert calls == []
    assert loop.of(events, ToolStarted) == []


@pytest.mark.parametrize("options", [{"name": "no spaces"}, {"name": "final_answer"}, {"timeout": 0}, {"effect": "x"}])
def test_a_tool_that_cannot_be_is_refused(options):
    with pytest.raises(ToolError):
        Tool(**{"name": "it", "description": "", "parameters": {}, "run": dict, **options})


def test_two_tools_of_one_name_are_refused(loop):
    with pytest.raises(ToolError, match="add"):
        Agent(loop.scripted(), [loop.tool(), loop.tool()])
