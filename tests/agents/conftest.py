"""Scripts and tools that tests of the loop share."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from agents import Tool
from decoder import ScriptedDecoder
from decoder.types import Message, ToolCall

NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


def call(name, /, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def answer(text="done"):
    return call("final_answer", answer=text)


def native(*calls, text="", ids=None):
    """A decoder's message that calls tools: pairs of a name and its arguments, a dict or raw text."""
    made = [
        ToolCall(ids[n] if ids else f"call_{n}", name, args if isinstance(args, str) else json.dumps(args))
        for n, (name, args) in enumerate(calls)
    ]
    return Message("assistant", text, tool_calls=tuple(made))


def scripted(*actions, mode="constrained", **options):
    """A decoder that acts so: in mode constrained a thought goes before each action."""
    if mode == "constrained":
        lines = [line for n, action in enumerate(actions) for line in (f"Thought {n}.", action)]
        return ScriptedDecoder(lines, **options)
    return ScriptedDecoder(actions, constraints=(), **options)


def tool(name="add", run=lambda a, b: a + b, parameters=NUMBERS, effect="read", **options):
    return Tool(name, f"{name} does it.", parameters, run, effect=effect, **options)


def of(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


@pytest.fixture(scope="session")
def loop():
    """call, answer, native, scripted, tool, of and NUMBERS: what tests of the loop are written with."""
    return SimpleNamespace(
        call=call, answer=answer, native=native, scripted=scripted, tool=tool, of=of, NUMBERS=NUMBERS
    )
