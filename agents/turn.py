"""Asks the decoder for its next thought and action, in the way that this decoder can be asked.

- "constrained": the thought is free and bounded by tokens, the action a second call whose every token is constrained
  to the tools' schemas. It shares the first one's prefix, so its prefill is cached. Nothing has to be parsed twice.
- "native": the server's own tool calling.
- "text": both in one free text, stopped before an observation could be invented, read by `textual.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from agents.budget import Meter
from agents.context import Context, prompt_sha256
from agents.events import (
    Action,
    Call,
    DecoderCalled,
    Event,
    FinalAnswer,
    Mode,
    Purpose,
    Thought,
    ThoughtDelta,
    Truncated,
    Unparsable,
)
from agents.grammar import read_action
from agents.tool import Tool
from decoder import types
from decoder.base import Decoder, close_events
from decoder.errors import ConstraintIgnored, ConstraintRefused
from decoder.types import Choice, Completion, Constraint, Finished, Sampling, TextDelta

STEP = "asking for an action"
# A thought ends where it begins to act or to observe by itself.
THOUGHT_STOPS = ("\nAction:", "\nObservation:", "\nThought:")
TURN_STOPS = ("\nObservation:", "\nObservation ")


@dataclass(frozen=True, slots=True)
class Asking:
    """How one agent's decoder is asked.

    Attributes:
        tools, answer: what an action can be; `answer` ends the run.
        thought_tokens: most tokens of a thought; 0 leaves thoughts out (mode "constrained").
        action_tokens: most tokens of an action.
        deltas: yield thoughts piece by piece too.
        actions, only_answer: what an action may be, and what it may be when only the answer may follow (mode
            "constrained"); built once, since each step needs them.
    """

    decoder: Decoder
    mode: Mode
    tools: tuple[Tool, ...]
    answer: types.Tool
    typed_answer: bool
    sampling: Sampling
    thought_tokens: int
    action_tokens: int
    several: bool
    deltas: bool
    actions: Constraint | None = None
    only_answer: Constraint | None = None


def choose_mode(decoder: Decoder, wanted: Mode | None) -> Mode:
    """The mode of this decoder: constrained where it can be held to JSON, else text. Await its `aready` before.

    Raises ConstraintRefused when constrained actions are wanted and the decoder does not enforce them.
    """
    able = "json" in decoder.constraints
    if wanted == "constrained" and not able:
        cause = f"{decoder.model} does not enforce JSON schemas, so an action could be malformed"
        raise ConstraintRefused(STEP, cause, "Use a server that does (vLLM), or mode='text' or 'native'")
    return wanted or ("constrained" if able else "text")


async def ask(asking: Asking, context: Context, meter: Meter, only_answer: bool) -> AsyncGenerator[Event]:
    """One turn's events: what was thought and decided, and each decoder call's cost.

    Args:
        only_answer: the action may only be the answer.
    """
    if asking.mode == "constrained":
        if asking.thought_tokens and context.awaits == "turn":
            async with aclosing(_think(asking, context, meter)) as happening:
                async for event in happening:
                    yield event
        async with aclosing(_act(asking, context, meter, only_answer)) as happening:
            async for event in happening:
                yield event
    else:
        async with aclosing(_whole_turn(asking, context, meter, only_answer)) as happening:
            async for event in happening:
                yield event


async def _think(asking: Asking, context: Context, meter: Meter) -> AsyncGenerator[Event]:
    sampling = _sampling(asking, asking.thought_tokens, meter, THOUGHT_STOPS)
    finished: list[DecoderCalled | Completion] = []
    async with aclosing(_generate(asking, context, meter, sampling, None, (), "thought", finished)) as happening:
        async for event in happening:
            yield event
    called, completion = finished
    yield called  # type: ignore[misc]  # the first of the two
    choice = completion.choices[0]  # type: ignore[union-attr]  # the second
    yield Thought(context.step, choice.text.strip() or "…", choice.finish_reason == "length")


async def _act(asking: Asking, context: Context, meter: Meter, only_answer: bool) -> AsyncGenerator[Event]:
    sampling = _sampling(asking, asking.action_tokens, meter)
    constraint = asking.only_answer if only_answer else asking.actions
    finished: list[DecoderCalled | Completion] = []
    async with aclosing(_generate(asking, context, meter, sampling, constraint, (), "action", finished)) as happening:
        async for event in happening:
            yield event
    called, completion = finished
    yield called  # type: ignore[misc]
    choice = completion.choices[0]  # type: ignore[union-attr]
    if choice.finish_reason == "length":
        yield Truncated(context.step, choice.text, sampling.max_tokens or 0)
        return
    try:
        calls = read_action(choice.text, choice.tool_calls, f"s{context.step}c")
    except (ValueError, RecursionError) as error:
        raise ConstraintIgnored(
            STEP, f"the decoder let through {choice.text[:80]!r}", "Report it to its server"
        ) from error
    yield Action(context.step, calls, written(calls, asking.several))


async def _whole_turn(asking: Asking, context: Context, meter: Meter, only_answer: bool) -> AsyncGenerator[Event]:
    native = asking.mode == "native"
    limit = asking.thought_tokens + asking.action_tokens
    sampling = _sampling(asking, limit, meter, () if native else TURN_STOPS)
    finished: list[DecoderCalled | Completion] = []
    tools = _offered(asking, only_answer) if native else ()
    async with aclosing(_generate(asking, context, meter, sampling, None, tools, "turn", finished)) as happening:
        async for event in happening:
            yield event
    called, completion = finished
    yield called  # type: ignore[misc]
    choice: Choice = completion.choices[0]  # type: ignore[union-attr]
    for event in _read_native(choice, context, asking, sampling) if native else _read_text(choice, context, sampling):
        yield event


def _offered(asking: Asking, only_answer: bool) -> tuple[types.Tool, ...]:
    """Native tools; the answer is a tool only where it has a type, else plain text is the answer."""
    tools = () if only_answer else tuple(tool.spec for tool in asking.tools)
    return (*tools, asking.answer) if asking.typed_answer else tools


def _read_native(choice: Choice, context: Context, asking: Asking, sampling: Sampling) -> list[Event]:
    if choice.finish_reason == "length":
        return [Truncated(context.step, choice.text, sampling.max_tokens or 0)]
    if not choice.tool_calls:
        if asking.typed_answer:
            return [Unparsable(context.step, choice.text, f"no tool was called; call {asking.answer.name} to answer")]
        return [FinalAnswer(context.step, choice.text.strip())]
    try:
        calls = read_action("", choice.tool_calls, f"s{context.step}c")
    except (ValueError, RecursionError) as error:
        return [Unparsable(context.step, choice.text, f"the arguments are no JSON object ({error})")]
    named = tuple(replace(call, id=asked.id or call.id) for call, asked in zip(calls, choice.tool_calls, strict=True))
    return [Action(context.step, named, choice.text)]


def _read_text(choice: Choice, context: Context, sampling: Sampling) -> list[Event]:
    from agents.textual import Unreadable, read_turn

    try:
        turn = read_turn(choice.text)
    except Unreadable as error:
        if choice.finish_reason == "length":
            return [Truncated(context.step, choice.text, sampling.max_tokens or 0)]
        return [Unparsable(context.step, choice.text, str(error))]
    return [Action(context.step, (Call(f"s{context.step}c0", turn.tool, turn.arguments),), choice.text.strip())]


async def _generate(
    asking: Asking,
    context: Context,
    meter: Meter,
    sampling: Sampling,
    constraint: Constraint | None,
    tools: Sequence[types.Tool],
    purpose: Purpose,
    finished: list[DecoderCalled | Completion],
) -> AsyncGenerator[Event]:
    """One decoder call within the run's time; `finished` receives what it cost and what it gave.

    Raises TimeoutError when the run's seconds are over.
    """
    began = time.monotonic()
    prompt, decoder = context.messages(), asking.decoder
    async with asyncio.timeout(meter.seconds_left()):
        if not (asking.deltas and purpose != "action"):
            completion = await decoder.acomplete(prompt, sampling=sampling, constraint=constraint, tools=tools)
        else:
            events = decoder.astream(prompt, sampling=sampling, constraint=constraint, tools=tools)
            try:
                async for event in events:
                    if isinstance(event, TextDelta):
                        yield ThoughtDelta(context.step, event.text)
                    elif isinstance(event, Finished):
                        completion = event.completion
            finally:
                await close_events(events)
    meter.use(completion.usage)
    reason = completion.finish_reason
    seconds = time.monotonic() - began
    sent = prompt_sha256(prompt)
    called = DecoderCalled(context.step, purpose, completion.usage, seconds, reason, decoder.model, sent)
    finished += [called, completion]


def _sampling(asking: Asking, limit: int, meter: Meter, stops: tuple[str, ...] = ()) -> Sampling:
    left = meter.tokens_left()
    most = limit if left is None else max(1, min(limit, left))
    return replace(asking.sampling, n=1, max_tokens=most, stop=(*asking.sampling.stop, *stops))


def written(calls: Sequence[Call], several: bool) -> str:
    """Calls as the decoder wrote them, for its own next prompt."""
    import json

    each = [{"name": call.tool, "arguments": call.arguments} for call in calls]
    return json.dumps(each if several else each[0], ensure_ascii=False)
