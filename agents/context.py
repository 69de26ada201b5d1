"""The decoder's messages, made from the events of a run and from nothing else.

They only ever grow at their end, turn by turn of user and assistant, so that each prefill finds the one before it in
the cache; and folding a transcript's events gives the very messages that the run had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from agents.events import (
    Action,
    Call,
    Event,
    FinalAnswer,
    Hint,
    Mode,
    Observation,
    RunStarted,
    Thought,
    Truncated,
    Unparsable,
)
from agents.prompt import act, invitation
from decoder.types import Message, ToolCall, assistant, system, user
from prompts.untrusted import mark_untrusted

Awaits: TypeAlias = Literal["turn", "action", "calls", "nothing"]
CUT_OFF = "The action was cut off after {} tokens and was not carried out. Write a shorter one."
UNREADABLE = "The action could not be read and was not carried out: {}."


class Context:
    """The conversation so far, and what it waits for.

    Args:
        thinking: a thought comes before each action (mode "constrained").
        several: an action may be a list of calls.

    Attributes:
        awaits: "turn" (a thought, or thought and action), "action", "calls" (observations), or "nothing" at the end.
        untrusted: text that nobody vouches for is in it.
        pending: calls without their observation, in order.
        step: the last step that was begun.
    """

    def __init__(self, mode: Mode, thinking: bool = True, several: bool = False) -> None:
        self.mode, self._several = mode, several
        self._thinking = thinking and mode == "constrained"
        self.awaits: Awaits = "turn"
        self.untrusted = False
        self.pending: list[Call] = []
        self.step = 0
        self._messages: list[Message] = []
        self._said: list[str] = []
        self._calls: tuple[Call, ...] = ()
        self._observed: list[Observation] = []
        self._ids: set[str] = set()

    @property
    def alone(self) -> bool:
        """The action is one call and no more."""
        return len(self._calls) == 1

    def call_ids(self, count: int, given: Sequence[str] = ()) -> list[str]:
        """An id for each call of the next action: those that the server gave where they are new in this run.

        Approvals and interrupted calls are known by their ids, and some servers give every call the same one.
        """
        ids: list[str] = []
        for number in range(count):
            chosen = (given[number] if number < len(given) else "") or f"s{self.step}c{number}"
            while chosen in self._ids or chosen in ids:
                chosen += "x"
            ids.append(chosen)
        return ids

    def messages(self) -> tuple[Message, ...]:
        """What to give the decoder now."""
        return (*self._messages, *self._open_turn())

    def fold(self, events: Iterable[Event]) -> None:
        """Take in events, in order."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take in one event; those that the decoder is not shown change nothing."""
        self.step = max(self.step, getattr(event, "step", 0))
        match event:
            case RunStarted():
                self._messages = [system(event.system), *event.history]
                self._said, self.untrusted = [event.task], event.untrusted
            case Thought():
                self._answer(assistant(event.text))
                self.awaits = "action"
            case Action():
                self._act(event)
            case Truncated():
                self._fail(event.text, CUT_OFF.format(event.max_tokens))
            case Unparsable():
                self._fail(event.text, UNREADABLE.format(event.cause))
            case Observation():
                self._observe(event)
            case Hint():
                self._said.append(event.text)
            case FinalAnswer():
                self.awaits = "nothing"

    def _open_turn(self) -> tuple[Message, ...]:
        """The user's turn that the next output answers. Empty where native results already stand there."""
        if self.awaits == "action":
            return (user("\n\n".join([*self._said, act(self._several)])),)
        invited = invitation(self.mode, self._thinking, self._several)
        parts = [*self._said, invited] if invited else self._said
        return (user("\n\n".join(parts)),) if parts else ()

    def _answer(self, message: Message) -> None:
        self._messages += [*self._open_turn(), message]
        self._said = []

    def _act(self, event: Action) -> None:
        if self.mode == "native":
            calls = tuple(ToolCall(c.id, c.tool, _json(c.arguments)) for c in event.calls)
            self._answer(Message("assistant", event.text, tool_calls=calls))
        else:
            self._answer(assistant(event.text))
        self._calls, self.pending, self.awaits = event.calls, list(event.calls), "calls"
        self._ids.update(call.id for call in event.calls)

    def _fail(self, text: str, remark: str) -> None:
        self._answer(assistant(text or "…"))
        self._said, self.awaits = [remark], "turn"

    def _observe(self, event: Observation) -> None:
        self.pending = [call for call in self.pending if call.id != event.call.id]
        self.untrusted = self.untrusted or event.untrusted
        self._observed.append(event)
        if self.pending:
            return
        order = [call.id for call in self._calls]
        observed = sorted(self._observed, key=lambda each: order.index(each.call.id))
        self._observed, self.awaits = [], "turn"
        if self.mode == "native":
            self._messages += [Message("tool", _shown([o]), tool_call_id=o.call.id) for o in observed]
        else:
            self._said.append(_shown(observed))


def prompt_sha256(messages: Iterable[Message]) -> str:
    """What tells one prompt from another, in 64 hex digits."""
    digest = hashlib.sha256()
    for message in messages:
        calls = [[call.id, call.name, call.arguments] for call in message.tool_calls]
        content = message.content if isinstance(message.content, str) else [str(part) for part in message.content]
        digest.update(json.dumps([message.role, content, calls, message.tool_call_id]).encode())
    return digest.hexdigest()


def _shown(observed: list[Observation]) -> str:
    """Observations as the decoder reads them: each named, what is untrusted in its box."""
    parts = []
    for each in observed:
        outcome = "failed" if each.error else "gave"
        if each.untrusted:
            parts.append(f"{each.call.tool} {outcome}:\n{mark_untrusted([each.text], [each.call.tool])}")
        else:
            parts.append(f"{each.call.tool} {outcome}: {each.text}")
    return "\n\n".join(parts)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
