"""`ScriptedDecoder`: answers written in advance, for tests and examples. Its tokens are words.

Knows no model: what a real decoder would draw, this one reads from its script.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from decoder.base import Decoder
from decoder.constraint import is_tool_call, satisfies, validate
from decoder.errors import ConstraintIgnored, ConstraintRefused, ContextOverflow, UsageError
from decoder.toolcalls import read_call
from decoder.types import (
    CONSTRAINT_KINDS,
    Choice,
    Completion,
    Constraint,
    ConstraintKind,
    Event,
    Finished,
    Message,
    Prompt,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TokenLogprob,
    Tool,
    ToolCallDelta,
    Usage,
    as_messages,
)

Answer: TypeAlias = str | Message | Exception
Script: TypeAlias = Iterable[Answer] | Callable[[tuple[Message, ...]], Answer]
STEP = "scripted answer"
_WORD = re.compile(r"\s*\S+(?:\s+$)?|\s+")


@dataclass(frozen=True, slots=True)
class Request:
    """What a scripted decoder was asked, for assertions."""

    messages: tuple[Message, ...]
    sampling: Sampling
    constraint: Constraint | None
    tools: tuple[Tool, ...]


class ScriptedDecoder(Decoder):
    """Answers from a list, each used once, or from a function of the messages.

    Sampling's `stop`, `max_tokens` (in words), `n` (an answer for each) and `logprobs` (all 0) are kept; the rest
    changes nothing. An exception in the script is raised in its turn. Streams come word by word.

    Args:
        script: the answers. A Message answers with its text, tool calls and reasoning.
        constraints: the kinds it says it enforces. An answer that breaks its constraint raises ConstraintIgnored.
        context_length: in words, prompt and answer together; None is unlimited.
        delay: seconds before each streamed word.

    Attributes:
        requests: everything that was asked, in order.
    """

    def __init__(
        self,
        script: Script,
        *,
        model: str = "scripted",
        constraints: Iterable[ConstraintKind] = CONSTRAINT_KINDS,
        context_length: int | None = None,
        delay: float = 0.0,
    ) -> None:
        self.model = model
        self.constraints = frozenset(constraints)
        self.requests: list[Request] = []
        self._script = script if callable(script) else deque(script)
        self._context_length, self._delay = context_length, delay
        self._lock = threading.Lock()

    async def astream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> AsyncIterator[Event]:
        """Yield the answer word by word. Raises what the script holds, and UsageError at its end."""
        completion = await self.acomplete(prompt, sampling=sampling, constraint=constraint, tools=tools)
        for event in events_of(completion):
            await asyncio.sleep(self._delay)
            yield event

    async def acomplete(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> Completion:
        """The next answer at once. Raises what the script holds, and UsageError at its end."""
        request = Request(as_messages(prompt), sampling or Sampling(), constraint, tuple(tools))
        self._check(request)
        with self._lock:
            self.requests.append(request)
            answers = [self._next(request) for _ in range(request.sampling.n)]
        choices = tuple(_choice(answer, index, request) for index, answer in enumerate(answers))
        used = sum(len(words(c.text)) + len(c.tool_calls) for c in choices)
        return Completion(choices, Usage(_count(request.messages), used), self.model, f"scripted-{len(self.requests)}")

    async def acount_tokens(self, prompt: Prompt) -> int:
        """The words of the prompt."""
        return _count(as_messages(prompt))

    async def acontext_length(self) -> int | None:
        """As given."""
        return self._context_length

    def _check(self, request: Request) -> None:
        constraint = request.constraint
        if constraint is not None:
            if constraint.kind not in self.constraints:
                remedy = f"It enforces: {', '.join(sorted(self.constraints)) or 'none'}"
                raise ConstraintRefused(STEP, f"{self.model} does not enforce {constraint.kind}", remedy)
            validate(constraint)
        needed = _count(request.messages) + (request.sampling.max_tokens or 1)
        if self._context_length is not None and needed > self._context_length:
            cause = f"{needed} words are needed, the context holds {self._context_length}"
            raise ContextOverflow(STEP, cause, "Shorten the prompt or lower max_tokens")

    def _next(self, request: Request) -> Message:
        if callable(self._script):
            answer = self._script(request.messages)
        elif self._script:
            answer = self._script.popleft()
        else:
            raise UsageError(STEP, "the script is at its end", "Write as many answers as are asked for")
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Message) else Message("assistant", answer)


def words(text: str) -> list[str]:
    """The text in pieces of one word each, with the white space before it; joined they are the text."""
    return _WORD.findall(text)


def events_of(completion: Completion) -> Iterator[Event]:
    """A whole completion as the stream that would have brought it, word by word."""
    for choice in completion.choices:
        for word in words(choice.reasoning or ""):
            yield ReasoningDelta(word, choice.index)
        scores = choice.logprobs or ()
        pieces = words(choice.text) or ([""] if scores else [])
        matching = len(scores) == len(pieces)
        for position, word in enumerate(pieces):
            here = scores[position : position + 1] if matching else scores if position == 0 else ()
            yield TextDelta(word, choice.index, here)
        for position, call in enumerate(choice.tool_calls):
            yield ToolCallDelta(position, call.id, call.name, call.arguments, choice.index)
    yield Finished(completion)


def _choice(answer: Message, index: int, request: Request) -> Choice:
    choice = Choice(answer.text, "stop", index, tool_calls=answer.tool_calls, reasoning=answer.reasoning)
    sampling, constraint = request.sampling, request.constraint
    stops = [at for stop in sampling.stop if (at := choice.text.find(stop)) >= 0]
    if stops:
        choice = replace(choice, text=choice.text[: min(stops)])
    pieces = words(choice.text)
    if sampling.max_tokens is not None and len(pieces) > sampling.max_tokens:
        choice = replace(choice, text="".join(pieces[: sampling.max_tokens]), finish_reason="length")
    elif constraint is not None and not stops and not choice.tool_calls:
        if satisfies(constraint, choice.text) is False:
            raise ConstraintIgnored(STEP, f"the script's answer does not satisfy its {constraint.kind}", "Mend it")
        if is_tool_call(constraint) and (call := read_call(choice.text)):
            choice = replace(choice, text="", tool_calls=(call,))
    if choice.tool_calls:
        choice = replace(choice, finish_reason="tool_calls")
    if sampling.logprobs is not None:
        choice = replace(choice, logprobs=tuple(TokenLogprob(word, 0.0) for word in words(choice.text)))
    return choice


def _count(messages: Iterable[Message]) -> int:
    return sum(len(m.text.split()) for m in messages)
