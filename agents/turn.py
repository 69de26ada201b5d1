"""Asks the decoder for its next thought and action, in the way that this decoder can be asked.

- "constrained": the thought is free and bounded by tokens, the action a second call whose every token is constrained
  to the tools' schemas. It shares the first one's prefix, so its prefill is cached. Nothing has to be parsed twice.
- "native": the server's own tool calling.
- "text": both in one free text, stopped before an observation could be invented, read by `textual.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from agents.asked import Asked, generate
from agents.budget import Meter
from agents.context import Context
from agents.events import (
    Action,
    Call,
    Event,
    FinalAnswer,
    Mode,
    Thought,
    Truncated,
    Unparsable,
)
from agents.grammar import read_action
from agents.tool import Tool
from decoder import types
from decoder.base import Decoder
from decoder.errors import ConstraintIgnored, ConstraintRefused
from decoder.types import Choice, Constraint, Sampling

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
    asked = Asked("thought", replace(asking.sampling, stop=(*asking.sampling.stop, *THOUGHT_STOPS)))
    async with aclosing(
        generate(asking.decoder, context, meter, asked, asking.thought_tokens, asking.deltas)
    ) as happening:
        async for event in happening:
            yield event
    choice = asked.choice
    yield Thought(context.step, choice.text.strip() or "…", choice.finish_reason == "length")


async def _act(asking: Asking, context: Context, meter: Meter, only_answer: bool) -> AsyncGenerator[Event]:
    tools = () if only_answer else asking.tools
    # The grammar says where an action ends; a stop string would only cut it off.
    asked = Asked("action", replace(asking.sampling, stop=()))
    asked.constraint = asking.only_answer if only_answer else asking.actions
    async with aclosing(
        generate(asking.decoder, context, meter, asked, asking.action_tokens, asking.deltas)
    ) as happening:
        async for event in happening:
            yield event
    choice = asked.choice
    if choice.finish_reason == "length":
        yield Truncated(context.step, choice.text, asked.sampling.max_tokens or 0)
        return
    try:
        calls = read_action(choice.text, choice.tool_calls, context.call_ids)
    except (ValueError, RecursionError) as error:
        raise _let_through(choice) from error
    if not {call.tool for call in calls} <= {asking.answer.name, *(tool.name for tool in tools)}:
        raise _let_through(choice)
    yield Action(context.step, calls, written(calls, asking.several))


def _let_through(choice: Choice) -> ConstraintIgnored:
    said = choice.text or str([(call.name, call.arguments) for call in choice.tool_calls])
    return ConstraintIgnored(STEP, f"the decoder let through {said[:80]!r}", "Report it to its server")


async def _whole_turn(asking: Asking, context: Context, meter: Meter, only_answer: bool) -> AsyncGenerator[Event]:
    native = asking.mode == "native"
    asked = Asked("turn", asking.sampling)
    if native:
        asked.tools = _offered(asking, only_answer)
    else:
        asked.sampling = replace(asking.sampling, stop=(*asking.sampling.stop, *TURN_STOPS))
    most = asking.thought_tokens + asking.action_tokens
    asks = generate(asking.decoder, context, meter, asked, most, asking.deltas)
    async with aclosing(asks) as happening:
        async for event in happening:
            yield event
    most = asked.sampling.max_tokens or 0
    yield (_read_native if native else _read_text)(asked.choice, context, asking, most)


def _offered(asking: Asking, only_answer: bool) -> tuple[types.Tool, ...]:
    """Native tools; the answer is a tool only where it has a type, else plain text is the answer."""
    tools = () if only_answer else tuple(tool.spec for tool in asking.tools)
    return (*tools, asking.answer) if asking.typed_answer else tools


def _read_native(choice: Choice, context: Context, asking: Asking, most: int) -> Event:
    if choice.finish_reason == "length":
        return Truncated(context.step, choice.text, most)
    if not choice.tool_calls:
        if asking.typed_answer:
            return Unparsable(context.step, choice.text, f"no tool was called; call {asking.answer.name} to answer")
        if not choice.text.strip():
            return Unparsable(context.step, choice.text, "nothing was said and no tool was called")
        return FinalAnswer(context.step, choice.text.strip())
    try:
        given = [call.id for call in choice.tool_calls]
        calls = read_action("", choice.tool_calls, lambda count: context.call_ids(count, given))
    except (ValueError, RecursionError) as error:
        said = "\n".join([choice.text, *(f"{call.name}({call.arguments})" for call in choice.tool_calls)])
        return Unparsable(context.step, said.strip(), f"the arguments are no JSON object ({error})")
    return Action(context.step, calls, choice.text)


def _read_text(choice: Choice, context: Context, asking: Asking, most: int) -> Event:
    from agents.textual import Unreadable, read_turn

    try:
        turn = read_turn(choice.text, typed_answer=asking.typed_answer, cut_off=choice.finish_reason == "length")
    except Unreadable as error:
        if choice.finish_reason == "length":
            return Truncated(context.step, choice.text, most)
        return Unparsable(context.step, choice.text, str(error))
    (call_id,) = context.call_ids(1)
    return Action(context.step, (Call(call_id, turn.tool, turn.arguments),), turn.text)


def written(calls: Sequence[Call], several: bool) -> str:
    """Calls as the decoder wrote them, for its own next prompt."""
    import json

    each = [{"name": call.tool, "arguments": call.arguments} for call in calls]
    return json.dumps(each if several else each[0], ensure_ascii=False)
