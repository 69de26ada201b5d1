"""One call of the decoder, inside what is left of a run's tokens and seconds.

Knows nothing of actions; `turn.py` says what is asked for, and reads what came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agents.budget import Meter
from agents.context import Context, prompt_sha256
from agents.events import DecoderCalled, Ended, Event, Purpose, ThoughtDelta
from decoder import types
from decoder.base import Decoder, close_events
from decoder.errors import ContextOverflow
from decoder.types import Choice, Completion, Constraint, Finished, Message, Sampling, TextDelta

T = TypeVar("T")
LEAST_TOKENS = 64
"""A call that the context has no room for is not asked with fewer tokens than these."""


class OutOfBudget(Exception):
    """The run's time or tokens are at their end. `ended` says which."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended
        super().__init__(ended)


@dataclass(slots=True)
class Asked:
    """One call of the decoder: what is asked and, once it has ended, what came."""

    purpose: Purpose
    sampling: Sampling
    constraint: Constraint | None = None
    tools: tuple[types.Tool, ...] = ()
    completion: Completion | None = None

    @property
    def choice(self) -> Choice:
        """The first of what came."""
        assert self.completion is not None  # noqa: S101  # read after the call alone
        return self.completion.choices[0]


async def generate(
    decoder: Decoder, context: Context, meter: Meter, asked: Asked, limit: int, deltas: bool
) -> AsyncGenerator[Event]:
    """One decoder call of at most `limit` tokens, within what is left of the run; ended by `DecoderCalled`.

    Args:
        deltas: yield its text piece by piece too, but not that of an action.

    Raises:
        OutOfBudget: before it for tokens, or during it for seconds.
        ContextOverflow: the conversation fills the context, or all but LEAST_TOKENS of it.
    """
    began = time.monotonic()
    prompt = context.messages()
    most = await _room(decoder, prompt, meter, limit)
    asked.sampling = replace(asked.sampling, n=1, max_tokens=most)
    async with aclosing(_fitted(asked, decoder, prompt, meter, deltas and asked.purpose != "action")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                yield ThoughtDelta(context.step, event.text)
    assert asked.completion is not None  # noqa: S101
    usage, reason, seconds = asked.completion.usage, asked.completion.finish_reason, time.monotonic() - began
    meter.use(usage)
    sent = prompt_sha256(prompt)
    yield DecoderCalled(context.step, asked.purpose, usage, seconds, reason, decoder.model, sent)


async def _fitted(
    asked: Asked, decoder: Decoder, prompt: Sequence[Message], meter: Meter, streamed: bool
) -> AsyncGenerator[types.Event]:
    """The decoder's events; where the context is too short for so many tokens, of a second call for those that fit.

    So a small context is asked about only where it is too short. Nothing comes before a decoder refuses.
    """
    try:
        async with aclosing(_events(asked, decoder, prompt, meter, streamed)) as events:
            async for event in events:
                yield event
        return
    except ContextOverflow:
        length = await _in_time(meter, decoder.acontext_length())
        left = 0 if length is None else length - await _in_time(meter, decoder.acount_tokens(prompt))
        if not LEAST_TOKENS <= left < (asked.sampling.max_tokens or 0):
            raise
    asked.sampling = replace(asked.sampling, max_tokens=left)
    async with aclosing(_events(asked, decoder, prompt, meter, streamed)) as events:
        async for event in events:
            yield event


async def _events(
    asked: Asked, decoder: Decoder, prompt: Sequence[Message], meter: Meter, streamed: bool
) -> AsyncGenerator[types.Event]:
    """The decoder's events, each waited for no longer than the run lasts.

    No timeout is open while an event is with the reader: it would cancel whatever that does meanwhile.
    """
    wanted: dict[str, Any] = {"sampling": asked.sampling, "constraint": asked.constraint, "tools": asked.tools}
    if not streamed:
        asked.completion = await _in_time(meter, decoder.acomplete(prompt, **wanted))
        return
    events = decoder.astream(prompt, **wanted)
    try:
        while not isinstance(event := await _in_time(meter, anext(events)), Finished):
            yield event
        asked.completion = event.completion
    finally:
        await close_events(events)


async def _in_time(meter: Meter, awaited: Awaitable[T]) -> T:
    """What `awaited` gives. Raises OutOfBudget when the run's seconds are over before."""
    try:
        async with asyncio.timeout(meter.seconds_left()) as limit:
            return await awaited
    except TimeoutError:
        if limit.expired():
            raise OutOfBudget("seconds") from None
        raise


async def _room(decoder: Decoder, prompt: Sequence[Message], meter: Meter, limit: int) -> int:
    """Tokens that may be generated: `limit`, or what the budget leaves beside the prompt.

    A token has at least one byte, so a prompt that fits by its bytes need not be counted. Raises OutOfBudget.
    """
    left = meter.tokens_left()
    if left is None or _bytes(prompt) + limit <= left:
        return limit
    left -= await _in_time(meter, decoder.acount_tokens(prompt))
    if left < 1:
        raise OutOfBudget("tokens")
    return min(limit, left)


def _bytes(prompt: Sequence[Message]) -> int:
    texts = (text for m in prompt for text in (m.text, *(call.name + call.arguments for call in m.tool_calls)))
    return sum(len(text.encode("utf-8", "surrogatepass")) + 64 for text in texts)
