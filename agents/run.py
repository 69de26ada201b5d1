"""One run of an agent as far as it has come: the state that `react.py` and `acting.py` share.

It moves on by events alone, so that a run that is resumed from its transcript stands where it stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agents import turn
from agents.approval import ask_approver
from agents.budget import Meter
from agents.calls import carry_out
from agents.context import Context
from agents.events import (
    Action,
    ApprovalGiven,
    Call,
    Effect,
    Event,
    FinalAnswer,
    Hint,
    Nested,
    Observation,
    Resumed,
    RunStarted,
    ToolStarted,
    Truncated,
    Unparsable,
)
from agents.loops import LoopDetector
from agents.policy import Policy
from agents.tool import Tool
from agents.turn import Asking

LOOPING = "You are repeating yourself. Answer now with what you know."
ReadAnswer: TypeAlias = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Outside:
    """What the loop asks of the world: its decoder, whoever approves, and the tools. A replay puts a record here."""

    ask: Callable[[Asking, Context, Meter, bool], AsyncGenerator[Event]] = turn.ask
    approve: Callable[..., Awaitable[tuple[bool, str]]] = ask_approver
    carry_out: Callable[..., Awaitable[Observation]] = carry_out


@dataclass(slots=True)
class Run:
    """One run of an agent, as far as it has come.

    Attributes:
        asking: how the decoder is asked.
        policy, meter: what may be done, and what it may cost.
        started: the run's first event.
        read_answer: the arguments of `final_answer` to the answer; raises ValueError when they will not do.
        redact: takes secrets out of a text.
        user_task, depth: the user's words at the root, and the number of runs around this one.
        outside: where answers, approvals and observations come from.
        called: how often each tool was called. approved, begun, unrepeatable: what is known of the action's calls,
            by their ids.
        hint: a call was repeated, and the decoder is yet to be told.
        force: why the loop wants an answer now, "" while it does not; forced: the decoder was told to answer.
        cut_off, unread: actions in a row that were truncated, or could not be read.
        untrusted: the taint under which the action was decided, whatever its own calls have brought since.
        last: the last event.
        answer: what the final answer is, once there is one.
    """

    asking: Asking
    policy: Policy
    meter: Meter
    started: RunStarted
    context: Context
    read_answer: ReadAnswer
    redact: Callable[[str], str]
    user_task: str = ""
    depth: int = 0
    outside: Outside = field(default_factory=Outside)
    loops: LoopDetector = field(default_factory=LoopDetector)
    called: Counter[str] = field(default_factory=Counter)
    approved: dict[str, bool] = field(default_factory=dict)
    begun: dict[str, Effect] = field(default_factory=dict)
    unrepeatable: set[str] = field(default_factory=set)
    hint: bool = False
    force: str = ""
    forced: bool = False
    cut_off: int = 0
    unread: int = 0
    untrusted: bool = False
    last: Event | None = None
    answer: Any = None

    def take(self, event: Event) -> None:
        """Move on by an event, new or from a transcript."""
        self.context.add(event)
        if not isinstance(event, Resumed):
            self.last = event
        match event:
            case ApprovalGiven():
                self.approved[event.call.id] = event.approved
            case ToolStarted():
                self.called[event.call.tool] += 1
                self.begun[event.call.id] = event.effect
            case Observation():
                self._observed(event)
            case Nested() if _has_effect(event.event):
                self.unrepeatable.add(event.call_id)
            case Truncated() | Unparsable():
                self.cut_off += isinstance(event, Truncated)
                self.unread += isinstance(event, Unparsable)
            case Action():
                self.cut_off = self.unread = 0
                self.approved, self.begun, self.unrepeatable = {}, {}, set()
                self.untrusted = self.context.untrusted
            case Hint():
                self.hint = False
                self.forced = self.forced or event.force_answer
            case FinalAnswer():
                self.answer = event.answer

    def took(self, event: Event) -> Event:
        """`take`, and the event itself."""
        self.take(event)
        return event

    def _observed(self, event: Observation) -> None:
        repeats = self.loops.repeats(event)
        self.hint = self.hint or repeats == 1
        self.force = self.force or (LOOPING if repeats > 1 else "")

    def tool(self, name: str) -> Tool | None:
        """The tool of this name, if the run has one."""
        return next((tool for tool in self.asking.tools if tool.name == name), None)

    def repeatable(self, call: Call) -> bool:
        """A call that was begun and has no observation may be made again: it and what it called only read."""
        tool = self.tool(call.tool)
        reads = tool is not None and tool.effect == self.begun.get(call.id) == "read"
        return tool is not None and (reads or tool.idempotent) and call.id not in self.unrepeatable


def _has_effect(event: Event) -> bool:
    """A tool with an effect was started, at any depth."""
    if isinstance(event, Nested):
        return _has_effect(event.event)
    return isinstance(event, ToolStarted) and event.effect != "read"
