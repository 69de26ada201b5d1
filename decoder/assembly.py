"""Puts a streamed answer together: chunks in, events out, the whole completion at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from decoder.errors import TruncatedStream
from decoder.types import (
    Choice,
    Completion,
    Event,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from decoder.wire import arguments_of, finish_reason_from, logprobs_from, malformed, reasoning_of, usage_from

STEP = "streaming the decoder's answer"


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def frozen(self, index: int) -> Choice:
        """The choice as it stands; its finish reason is known by now."""
        assert self.finish_reason is not None  # noqa: S101  # whoever calls has looked
        calls = [self.calls[position] for position in sorted(self.calls)]
        return Choice(
            text="".join(self.text),
            finish_reason=self.finish_reason,
            index=index,
            token_ids=tuple(self.token_ids) if self.token_ids else None,
            logprobs=tuple(self.logprobs) if self.logprobs else None,
            tool_calls=tuple(ToolCall(call.id, call.name, "".join(call.arguments)) for call in calls),
            reasoning="".join(self.reasoning) or None,
        )


class Assembly:
    """One answer in the making.

    Attributes:
        started: a token has arrived (and not just the chunk that names the role).
    """

    def __init__(self) -> None:
        self.started = False
        self._choices: dict[int, _Choice] = {}
        self._usage = Usage()
        self._model = self._id = ""

    @property
    def finished(self) -> bool:
        """Every choice that has begun has its finish reason."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def feed(self, chunk: object) -> list[Event]:
        """The events of one chunk. Raises MalformedResponse when it is not a chat-completion chunk."""
        try:
            if not isinstance(chunk, dict):
                raise TypeError(f"a {type(chunk).__name__} instead of an object")
            return self._take(chunk)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise malformed(error) from error

    def completion(self) -> Completion:
        """The whole answer. Raises TruncatedStream when a choice was not finished."""
        if not self.finished:
            length = sum(len(piece) for choice in self._choices.values() for piece in choice.text)
            raise TruncatedStream(
                STEP, f"the stream ended after {length} characters, before the model did", "Ask again"
            )
        choices = tuple(self._choices[index].frozen(index) for index in sorted(self._choices))
        return Completion(choices, self._usage, self._model, self._id)

    def _take(self, chunk: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        self._id = self._id or chunk.get("id") or ""
        self._model = self._model or chunk.get("model") or ""
        for item in chunk["choices"]:
            index = item.get("index", 0)
            if not isinstance(index, int):
                raise TypeError("a choice's index is not a number")
            choice = self._choices.setdefault(index, _Choice())
            events += _deltas(choice, item, index)
            if item.get("finish_reason") is not None:
                choice.finish_reason = finish_reason_from(item["finish_reason"])
        if chunk.get("usage"):
            self._usage = usage_from(chunk["usage"])
        self.started = self.started or bool(events)
        return events


def _deltas(choice: _Choice, item: Mapping[str, Any], index: int) -> list[Event]:
    events: list[Event] = []
    delta = item.get("delta") or {}
    ids = item.get("token_ids")
    logprobs = logprobs_from(item["logprobs"], ids) if item.get("logprobs") else ()
    choice.logprobs += logprobs
    choice.token_ids += ids or ()
    reasoning, text = reasoning_of(delta), delta.get("content") or ""
    if not isinstance(text, str) or not isinstance(reasoning or "", str):
        raise TypeError("content is not text")
    if reasoning:
        choice.reasoning.append(reasoning)
        events.append(ReasoningDelta(reasoning, index))
    if text or (logprobs and not events):  # a token may be half a character: no text yet, but a logprob
        choice.text.append(text)
        events.append(TextDelta(text, index, logprobs))
    events += [_call_delta(choice, call, index) for call in delta.get("tool_calls") or ()]
    return events


def _call_delta(choice: _Choice, call: Mapping[str, Any], index: int) -> ToolCallDelta:
    function = call.get("function") or {}
    position = call.get("index")
    if position is None:  # Ollama numbers whole calls by their order alone
        position = len(choice.calls) if call.get("id") else max(choice.calls, default=0)
    whole = choice.calls.setdefault(position, _Call())
    new_id, new_name, arguments = call.get("id") or "", function.get("name") or "", arguments_of(function)
    whole.id, whole.name = whole.id or new_id, whole.name or new_name
    whole.arguments.append(arguments)
    return ToolCallDelta(position, new_id, new_name, arguments, index)
