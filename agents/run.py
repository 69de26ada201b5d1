"""One run of an agent as far as it has come: the state that `react.py` and `acting.py` share.

It moves on by events alone, so that a run that is resumed from its transcript stands where it stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agents.budget import Meter
from agents.context import Context
from agents.events import (
    Action,
    ApprovalGiven,
    Event,
    FinalAnswer,
    Hint,
    Observation,
    RunStarted,
    ToolStarted,
    Truncated,
    Unparsable,
)
from agents.loops import LoopDetector
from agents.policy import Policy
from agents.turn import Asking

LOOPING = "You are repeating yourself. Answer now with what you know."
ReadAnswer: TypeAlias = Callable[[Mapping[str, Any]], Any]


@dataclass(slots=True)
class Run:
    """One run of an agent, as far as it has come.

    Attributes:
        asking: how the decoder is asked.
        policy, meter: what may be done, and what it may cost.
        started: the run's first event.
        read_answer: the arguments of `final_answer` to the answer; raises ValueError when they will not do.
        redact: takes secrets out of a text.
        called: how often each tool was called; approved: what was answered, begun: what was started, by call id.
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
    loops: LoopDetector = field(default_factory=LoopDetector)
    called: Counter[str] = field(default_factory=Counter)
    approved: dict[str, bool] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
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
        match event:
            case ApprovalGiven():
                self.approved[event.call.id] = event.approved
            case ToolStarted():
                self.called[event.call.tool] += 1
                self.begun.add(event.call.id)
            case Observation():
                self.repeated = self.loops.repeats(event)
                self.force = self.force or (LOOPING if self.repeated > 1 else "")
            case Truncated():
                self.cut_off += 1
            case Unparsable():
                self.unread += 1
            case Action():
                self.cut_off = self.unread = 0
            case Hint():
                self.forced = self.forced or event.force_answer
            case FinalAnswer():
                self.answer = event.answer

    def took(self, event: Event) -> Event:
        """`take`, and the event itself."""
        self.take(event)
        return event
