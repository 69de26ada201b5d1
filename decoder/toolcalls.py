"""Tool calls without a parser on the server: the prompt that asks for them, their constraint, and reading them back.

A model that must call writes one JSON object under a constraint; one that may call writes
`<tool_call>{…}</tool_call>`, in the form that Hermes and Qwen models were taught, and the part between the tags is
constrained. Knows nothing of running tools.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from decoder.base import Decoder
from decoder.constraint import structural_tag, tool_call
from decoder.errors import ConstraintRefused, UsageError
from decoder.types import (
    Choice,
    Constraint,
    Event,
    Finished,
    Message,
    TextDelta,
    TextPart,
    Tool,
    ToolCall,
    system,
)

BEGIN, END = "<tool_call>", "</tool_call>"
ToolChoice: TypeAlias = Literal["auto", "required"]


def constraint_for(tools: Sequence[Tool], choice: ToolChoice, parallel: bool = True) -> Constraint:
    """What output may be: any text with well-formed calls in it ("auto"), or exactly one call ("required").

    Raises ConstraintRefused when there is no tool or two share a name.
    """
    call = tool_call(tools)
    if choice == "required":
        return call
    tag = {"begin": BEGIN, "content": {"type": "json_schema", "json_schema": call.value}, "end": END}
    form = {"type": "triggered_tags", "triggers": [BEGIN], "tags": [tag], "stop_after_first": not parallel}
    return structural_tag({"type": "structural_tag", "format": form})


def with_tools(messages: Sequence[Message], tools: Sequence[Tool], choice: ToolChoice) -> tuple[Message, ...]:
    """The conversation with the tools described in its system message, which is added when there is none."""
    described = "\n".join(
        json.dumps({"name": t.name, "description": t.description, "parameters": t.parameters}, ensure_ascii=False)
        for t in tools
    )
    form = '{"name": <name>, "arguments": <object>}'
    how = f"Answer with one JSON object {form} and nothing else."
    if choice == "auto":
        how = f"To call one, write {BEGIN}{form}{END}. Otherwise answer in plain text."
    text = f"You can call these tools, one JSON description a line:\n{described}\n{how}"
    if not messages or messages[0].role != "system":
        return (system(text), *messages)
    first = messages[0]
    parts = (TextPart(first.content),) if isinstance(first.content, str) else first.content
    return (system("\n\n".join([*(p.text for p in parts if isinstance(p, TextPart)), text])), *messages[1:])


def read_call(text: str) -> ToolCall | None:
    """The call that a JSON object `{"name": …, "arguments": {…}}` asks for; None when `text` is not one, whole."""
    try:
        call = json.loads(text, strict=False)  # xgrammar leaves control characters in strings of limited length
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return None
    return ToolCall(f"call_{uuid.uuid4().hex[:24]}", call["name"], json.dumps(arguments, ensure_ascii=False))


class CallSplitter:
    """Separates streamed text into text and tagged calls, whatever pieces it comes in.

    A tag that holds no whole call is given back as the text that it is.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> Iterator[str | ToolCall]:
        """What can be told after `piece`; the beginning of a tag is held back."""
        self._held += piece
        while True:
            before, begin, rest = self._held.partition(BEGIN)
            if not begin:
                yield from self._release()
                return
            body, end, after = rest.partition(END)
            if before:
                yield before
            if not end:
                self._held = begin + rest
                return
            yield read_call(body) or f"{begin}{body}{end}"
            self._held = after

    def _release(self) -> Iterator[str]:
        kept = next((n for n in range(len(BEGIN) - 1, 0, -1) if self._held.endswith(BEGIN[:n])), 0)
        cut = len(self._held) - kept
        ready, self._held = self._held[:cut], self._held[cut:]
        if ready:
            yield ready

    def finish(self) -> Iterator[str]:
        """What was held back until the end."""
        held, self._held = self._held, ""
        if held:
            yield held


def split_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """A whole answer as its text and its tagged calls."""
    splitter = CallSplitter()
    pieces = [*splitter.feed(text), *splitter.finish()]
    words = "".join(piece for piece in pieces if isinstance(piece, str))
    return words, tuple(piece for piece in pieces if isinstance(piece, ToolCall))


@dataclass(frozen=True, slots=True)
class Plan:
    """How a decoder is asked for tool calls.

    Attributes:
        mode: "required" (the whole answer is one call), "auto" (calls are tagged), "native" (the server's own
            tool calls) or "none" (no tools).
        messages, constraint, tools: what to give the decoder.
    """

    mode: Literal["required", "auto", "native", "none"]
    messages: tuple[Message, ...]
    constraint: Constraint | None = None
    tools: tuple[Tool, ...] = ()


def chosen(tools: Sequence[Tool], choice: object) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """What a `tool_choice` of another library asks for: whether a tool must be called, and which may be.

    Args:
        choice: "auto" or nothing, "none", "required" or "any" or True, a tool's name, or OpenAI's object with it.

    Raises:
        UsageError: it names no tool of these.
    """
    if isinstance(choice, Mapping):
        choice = choice.get("function", choice).get("name")
    if choice in (None, False, "auto"):
        return "auto", tuple(tools)
    if choice == "none":
        return "auto", ()
    if choice in (True, "any", "required"):
        return "required", tuple(tools)
    named = tuple(tool for tool in tools if tool.name == choice)
    if not named:
        known = ", ".join(tool.name for tool in tools)
        cause = f"tool_choice names {choice!r}, which is no tool of these"
        raise UsageError("planning tool calls", cause, f"Tools: {known}")
    return "required", named


def plan(
    decoder: Decoder,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    choice: ToolChoice = "auto",
    parallel: bool = True,
) -> Plan:
    """Constrained where the decoder can, else its own tool calls. Await its `aready` before.

    Raises ConstraintRefused when a call is required and the decoder cannot be held to one.
    """
    if not tools:
        return Plan("none", tuple(messages))
    needed = "json" if choice == "required" else "structural_tag"
    if needed in decoder.constraints:
        return Plan(choice, with_tools(messages, tools, choice), constraint_for(tools, choice, parallel))
    if choice == "required":
        cause = f"{decoder.model} does not enforce JSON schemas, so no call can be required of it"
        raise ConstraintRefused("planning tool calls", cause, "Let the model choose, or use another decoder")
    return Plan("native", tuple(messages), tools=tuple(tools))


def read(mode: str, choice: Choice) -> tuple[str, tuple[ToolCall, ...]]:
    """The text and the calls of an answer to a plan of this mode."""
    if choice.tool_calls or mode in ("native", "none"):
        return choice.text, choice.tool_calls
    if mode == "auto":
        return split_calls(choice.text)
    call = read_call(choice.text)
    return ("", (call,)) if call else (choice.text, ())


class CallReader:
    """Reads the stream of an answer to a plan: text as it comes, calls when they are whole."""

    def __init__(self, mode: str) -> None:
        self._mode, self._splitter = mode, CallSplitter()

    def feed(self, event: Event) -> Iterator[str | ToolCall]:
        """Text and calls that choice 0 can be told to have made after `event`."""
        if isinstance(event, TextDelta) and event.index == 0:
            if self._mode == "auto":
                yield from self._splitter.feed(event.text)
            elif self._mode != "required" and event.text:
                yield event.text
        elif isinstance(event, Finished):
            yield from self._finish(event.completion.choices[0])

    def _finish(self, choice: Choice) -> Iterator[str | ToolCall]:
        yield from self._splitter.finish()
        if self._mode == "required":
            text, calls = read(self._mode, choice)
            if text:
                yield text
            yield from calls
        else:
            yield from choice.tool_calls
