"""What a tool can know of the run that calls it: a context variable, set around every call.

An agent that is a tool finds here the meter that it shares, and where its events go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from agents.budget import Meter
from agents.events import Call, Event
from agents.policy import Policy


@dataclass(frozen=True, slots=True)
class Running:
    """The call that is being carried out, and the run around it.

    Attributes:
        task: the user's words at the root of it all.
        depth: runs around this one; 0 for the outermost.
        untrusted: text that nobody vouches for is in the conversation that made this call.
        emit: adds an event to the run's stream.
        told: waits until the listeners know of all that was emitted: before a worker's tool starts, say, so that a
            transcript knows of it.
        redact: takes the secrets of this run, and of those around it, out of a text.
    """

    run_id: str
    step: int
    call: Call
    task: str
    untrusted: bool
    meter: Meter
    policy: Policy
    emit: Callable[[Event], None]
    told: Callable[[], Awaitable[None]]
    depth: int = 0
    redact: Callable[[str], str] = str


_running: ContextVar[Running | None] = ContextVar("hearth_running", default=None)


def running() -> Running | None:
    """The call that this code was called for; None outside of a run."""
    return _running.get()


def enter(state: Running) -> None:
    """Set it for the current task and the threads that it starts."""
    _running.set(state)
