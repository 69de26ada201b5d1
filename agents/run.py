"""One run of an agent as far as it has come: the state that `react.py` and `acting.py` share.

It moves on by events alone, so that a run that is resumed from its transcript stands where it stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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
from agents.turn import Asking, ask

LOOPING = "You are repeating yourself. Answer now with what you know."
ReadAnswer: TypeAlias = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Outside:
    """What the loop asks of the world: its decoder, whoever approves, and the tools. A replay puts a record here."""

    ask: Callable[[Asking, Context, Meter, bool], AsyncGenerator[Event]] = ask
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
        called: how often each tool was called.
        approved, begun, unrepeatable: what is known of the action's calls, by id: the approver's answer, the effect
            that was begun, and that a worker began one.
        untrusted: the taint under which the action was decided, whatever its own calls have brought since.
        last: the last event.
        repeated: how often the last observation was seen before.
        force: why the loop wants an answer now, "" while it does not; forced: the decoder was told to answer.
        answer_only: the present turn may only answer.
        cut_off, unread: actions in a row that were truncated, or could not be read.
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
    untrusted: bool = False
    last: Event | None = None
    repeated: int = 0
    force: str = ""
    forced: bool = False
    answer_only: bool = False
    cut_off: int = 0
    unread: int = 0
    answer: Any = None

    def take(self, event: Event) -> None:
        """Move on by an event, new or from a transcript."""
        self.context.add(event)
        self.last = self.last if isinstance(event, Resumed) else event
        match event:
            case Action():
                self._decided()
            case ApprovalGiven() | ToolStarted() | Nested() | Observation():
                self._called(event)
            case Truncated():
                self.cut_off += 1
            case Unparsable():
                self.unread += 1
            case Hint():
                self.forced = self.forced or event.force_answer
            case FinalAnswer():
                self.answer = event.answer

    def _decided(self) -> None:
        self.cut_off = self.unread = 0
        self.approved, self.begun, self.unrepeatable = {}, {}, set()
        self.untrusted = self.context.untrusted

    def _called(self, event: ApprovalGiven | ToolStarted | Nested | Observation) -> None:
        match event:
            case ApprovalGiven():
                self.approved[event.call.id] = event.approved
            case ToolStarted():
                self.called[event.call.tool] += 1
                self.begun[event.call.id] = event.effect
            case Nested() if _has_effect(event.event):
                self.unrepeatable.add(event.call_id)
            case Observation():
                self.repeated = self.loops.repeats(event)
                self.force = self.force or (LOOPING if self.repeated > 1 else "")

    def tool(self, call: Call) -> Tool | None:
        """The tool that is called, or None where there is none of its name."""
        return next((tool for tool in self.asking.tools if tool.name == call.tool), None)

    def repeatable(self, call: Call) -> bool:
        """A call that was begun and has no observation may be made again: it and what it called only read."""
        tool = self.tool(call)
        reads = tool is not None and tool.effect == self.begun.get(call.id) == "read"
        return tool is not None and (reads or tool.idempotent) and call.id not in self.unrepeatable

    def took(self, event: Event) -> Event:
        """`take`, and the event itself."""
        self.take(event)
        return event


def _has_effect(event: Event) -> bool:
    """A tool with an effect was started, at any depth."""
    if isinstance(event, Nested):
        return _has_effect(event.event)
    return isinstance(event, ToolStarted) and event.effect != "read"
