"""Runs a transcript again, deterministically: nobody is asked, no tool is called, and all must come out the same.

The loop, the policy, the budgets, the prompts and the readers of answers are today's code; what the decoder, the
approver and the tools said is the transcript's. Every event must equal the recorded one byte for byte, and every
prompt's hash the recorded one. So a change of code that would have changed a run is found without a model.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import math
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agents.acting import NO_TIME_LEFT
from agents.asked import OutOfBudget
from agents.budget import Meter
from agents.context import Context, prompt_sha256
from agents.errors import ReplayDiffers
from agents.eventjson import to_json
from agents.events import (
    ApprovalGiven,
    Call,
    DecoderCalled,
    Event,
    Nested,
    Observation,
    Resumed,
    RunEnded,
    RunStarted,
    Thought,
)
from agents.resume import Source, restored, spent_by
from agents.run import Outside, Run
from agents.transcript import Recording, Transcript, read
from agents.turn import Asking
from decoder.base import Decoder, run_sync
from decoder.types import Message

if TYPE_CHECKING:
    from agents.agent import Agent

STEP = "replaying a run"
PATIENCE = 60.0
_FROM_ASKING = ("DecoderCalled", "Thought", "Action", "Truncated", "Unparsable", "FinalAnswer")


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run that came out the same.

    Attributes:
        events: how many were made again and found equal.
        prompts: how many calls of the decoder had the recorded prompt.
        finished: the transcript holds the end of its run.
    """

    events: int
    prompts: int
    finished: bool


def replay(source: Source, agent: Agent | None = None, decoder: Decoder | None = None) -> Replayed:
    """`areplay` for code without an event loop."""
    return run_sync(areplay(source, agent, decoder))


async def areplay(source: Source, agent: Agent | None = None, decoder: Decoder | None = None) -> Replayed:
    """Run a transcript again and compare.

    A run that was resumed is replayed part by part, each from the state that the transcript gives it; of a fork, the
    part that is its own.

    Args:
        agent: runs again, without its decoder, approver and tools. None checks the prompts that events make alone.
        decoder: is asked instead of the transcript, such as a `RecordedDecoder`: then the reading of completions is
            replayed too. Only how long it took may differ.

    Raises:
        ReplayDiffers: at the first event or prompt that is not the recorded one.
        TranscriptError: the transcript is damaged.
    """
    recording = source.recording if isinstance(source, Transcript) else read(source)
    prompts = sum(1 for _ in prompts_of(recording))
    if agent is None:
        return Replayed(len(recording.events), prompts, recording.ended is not None)
    if decoder is not None:
        await decoder.aready()
        agent = replace(agent, decoder=decoder)
    _same_beginning(agent, recording.started)
    count = 0
    for before, part in _parts(recording):
        count += len(part)
        await _replay_part(agent, before, part, asks=decoder is not None)
    return Replayed(count, prompts, recording.ended is not None)


def prompts_of(recording: Recording) -> Iterator[tuple[DecoderCalled, tuple[Message, ...]]]:
    """Each call of the decoder and what it was sent, made from the events; checked against its recorded hash.

    Raises ReplayDiffers where they are not the same: then today's code makes other prompts than the run's.
    """
    started = recording.started
    context = Context(started.mode, started.thinking, started.parallel)
    shared = bool(started.forked_from)
    for event in recording.events:
        shared = shared and not isinstance(event, Resumed)
        if isinstance(event, DecoderCalled) and not shared:
            messages = context.messages()
            _check_prompt(event, messages)
            yield event, messages
        context.add(event)


def _check_prompt(event: DecoderCalled, messages: Sequence[Message]) -> None:
    if event.prompt and prompt_sha256(messages) != event.prompt:
        cause = f"step {event.step}: the prompt for its {event.purpose} is not the one that was sent"
        raise ReplayDiffers(STEP, cause, "What the code says to the decoder around the events has changed")


def _same_beginning(agent: Agent, started: RunStarted) -> None:
    """Compare what the agent would begin with: its system prompt, its tools, how it is asked."""
    now = replace(
        agent.started(started.task, started.history, started.mode),
        run_id=started.run_id,
        model=started.model,
        forked_from=started.forked_from,
        untrusted=started.untrusted,
    )
    if now.system != started.system:
        raise _differs("the system prompt differs", started.system, now.system)
    _compare(started, now)


def _parts(recording: Recording) -> Iterator[tuple[Sequence[Event], Sequence[Event]]]:
    """What was run without interruption, each with all the events before it."""
    events = recording.events
    starts = [number for number, event in enumerate(events) if isinstance(event, Resumed)]
    if not recording.started.forked_from:
        starts.insert(0, 0)
    for start, end in zip(starts, [*starts[1:], len(events)], strict=True):
        yield events[:start], events[start:end]


async def _replay_part(agent: Agent, before: Sequence[Event], part: Sequence[Event], asks: bool) -> None:
    from agents.agent import heard

    started = before[0] if before else part[0]
    assert isinstance(started, RunStarted)  # noqa: S101  # the reader saw to it
    run = restored(agent, before) if before else agent.begin(started, deltas=False)
    spent = replace(run.meter.spent, seconds=spent_by(before, run.meter).seconds)
    script = _Script(part, run, spent.seconds, asks)
    run.meter = Meter(agent.budget, spent, clock=lambda: script.seconds)
    outside = Outside(approve=script.approve, carry_out=script.carry_out)
    run.outside = outside if asks else replace(outside, ask=script.ask)
    first = part[0]
    run.take(first)
    async with aclosing(heard(run, [script.heard], first=first)) as happening:
        async for _ in happening:
            if script.next is None:
                return
    raise ReplayDiffers(STEP, f"the run ends now where {type(script.next).__name__} was recorded", "")


class _Script:
    """What was recorded of one part, told to the loop as it asks for it, and compared with what the loop does."""

    def __init__(self, events: Sequence[Event], run: Run, began: float, asks: bool) -> None:
        self._events, self._run, self._began, self._asks = events, run, began, asks
        self._at = 0
        self._emitted = -1
        self._moved = asyncio.Event()

    @property
    def next(self) -> Event | None:
        """The event that is due."""
        return self._events[self._at] if self._at < len(self._events) else None

    @property
    def seconds(self) -> float:
        """The run's clock: it stands still until the end, whose time was recorded."""
        due = self.next
        if isinstance(due, Observation) and due.text == NO_TIME_LEFT:
            return math.inf
        return due.result.spent.seconds if isinstance(due, RunEnded) else self._began

    def heard(self, event: Event) -> None:
        """Compare what happens with what is due. Raises ReplayDiffers."""
        due = self.next
        if due is None:
            raise ReplayDiffers(STEP, f"{type(event).__name__} comes after all that was recorded", "")
        if self._asks and isinstance(event, DecoderCalled) and isinstance(due, DecoderCalled):
            event = replace(event, seconds=due.seconds)
        _compare(due, event)
        self._at += 1
        self._moved.set()
        self._moved = asyncio.Event()

    async def ask(self, asking: Asking, context: Context, meter: Meter, only_answer: bool) -> AsyncGenerator[Event]:
        """In place of `turn.ask`: what the decoder thought and decided."""
        while (due := self.next) is not None and type(due).__name__ in _FROM_ASKING:
            if isinstance(due, DecoderCalled):
                _check_prompt(due, context.messages())
                meter.use(due.usage)
            yield due
            if not isinstance(due, (DecoderCalled, Thought)):
                return
        if isinstance(due, RunEnded):
            raise OutOfBudget(due.result.ended)
        raise ReplayDiffers(STEP, f"the decoder is asked where {type(due).__name__} was recorded", "")

    async def approve(self, *_: object) -> tuple[bool, str]:
        """In place of the approver."""
        if not isinstance(self.next, ApprovalGiven):
            raise ReplayDiffers(STEP, f"approval is asked where {type(self.next).__name__} was recorded", "")
        return self.next.approved, self.next.by

    async def carry_out(self, step: int, call: Call, *_: object) -> Observation:
        """In place of a tool: what it gave, when it is its turn, and before that what the agents in it did."""
        from agents.running import running

        around = running()
        async with asyncio.timeout(PATIENCE):
            while True:
                due, moved = self.next, self._moved
                if isinstance(due, Observation) and due.call.id == call.id:
                    return due
                if isinstance(due, Nested) and due.call_id == call.id and self._emitted < self._at and around:
                    self._emitted = self._at
                    self._spend(due)
                    around.emit(due)
                await moved.wait()

    def _spend(self, event: Nested) -> None:
        """Count what a worker spent, as its own meter did."""
        spent = spent_by([event], self._run.meter)
        self._run.meter.count(spent)


def _compare(due: Event, event: Event) -> None:
    recorded, now = _written(due), _written(event)
    if recorded != now:
        step = getattr(due, "step", 0)
        raise _differs(f"step {step}: {type(event).__name__} is not the recorded {type(due).__name__}", recorded, now)


def _written(event: Event) -> str:
    return json.dumps({"kind": type(event).__name__, **to_json(event)}, indent=1, ensure_ascii=False)


def _differs(cause: str, recorded: str, now: str) -> ReplayDiffers:
    lines = difflib.unified_diff(recorded.splitlines(), now.splitlines(), "recorded", "now", lineterm="", n=1)
    diff = list(lines)
    changed = next((line for line in diff[2:] if line[0] in "+-"), "")
    error = ReplayDiffers(STEP, f"{cause}: {changed[:120]}", "The error's `diff` shows all of it")
    error.diff = "\n".join(diff)
    return error
