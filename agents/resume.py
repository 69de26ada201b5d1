"""Goes on with a run from its transcript: after a crash, or from a step of another run (a fork).

The run's events are folded into the state that they left, and the loop goes on from there. What has an observation
is not done again; what was begun without one is done again only where that cannot matter, and otherwise the decoder is
told that it is unknown; an approval that was given holds.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias

from agents.errors import TranscriptError
from agents.events import (
    Action,
    ApprovalAsked,
    ApprovalGiven,
    DecoderCalled,
    Event,
    FinalAnswer,
    Nested,
    Observation,
    Resumed,
    RunEnded,
    RunStarted,
    Spent,
    Thought,
    ToolStarted,
    Truncated,
    Unparsable,
)
from agents.secret import redactor
from agents.tool import FINAL_ANSWER
from agents.transcript import Recording, Transcript, read
from agents.turn import choose_mode

if TYPE_CHECKING:
    from agents.agent import Agent, Listener
    from agents.budget import Meter
    from agents.run import Run

STEP = "resuming a run"
Source: TypeAlias = str | PathLike[str] | Transcript
_DECIDED = (Thought, Action, Truncated, Unparsable, FinalAnswer)


async def resumed(
    agent: Agent, source: Source, listeners: Iterable[Listener], deltas: bool, despite_changes: bool
) -> AsyncGenerator[Event]:
    """The events from here on; `RunEnded` alone when there are none. Raises TranscriptError, and what a run raises."""
    transcript = source if isinstance(source, Transcript) else Transcript(source)
    try:
        events = transcript.recording.events
        started = transcript.recording.started
        if started.forked_from and not any(isinstance(event, Resumed) for event in events):
            raise TranscriptError(STEP, "it was cut off while the fork was made", "Fork again, to another file")
        if ended := transcript.recording.ended:
            run = folded(agent, events)
            yield RunEnded(replace(ended.result, answer=run.answer if ended.result.ok else None))
            return
        await agent.decoder.aready()
        choose_mode(agent.decoder, started.mode)
        check_same(agent, started, despite_changes)
        run = restored(agent, events, deltas)
        told: list[Listener] = [transcript, *agent.listeners, *listeners]
        async with aclosing(_going_on(run, told)) as happening:
            async for event in happening:
                yield event
    finally:
        if transcript is not source:
            transcript.close()


async def forked(
    agent: Agent,
    source: Source,
    step: int,
    task: str | None,
    to: str | PathLike[str] | None,
    listeners: Sequence[Listener],
) -> AsyncGenerator[Event]:
    """The events of a new run after the shared ones. Raises TranscriptError, and what a run raises."""
    events = shared(source, step, None if task is None else redactor(agent.secrets)(task))
    await agent.decoder.aready()
    choose_mode(agent.decoder, _started(events).mode)
    check_same(agent, _started(events), despite_changes=False)
    transcript = [] if to is None else [_new(to)]
    try:
        for event in events:
            for each in transcript:
                each(event)
        run = restored(agent, events, deltas=True)
        async with aclosing(_going_on(run, [*transcript, *agent.listeners, *listeners])) as happening:
            async for event in happening:
                yield event
    finally:
        for each in transcript:
            each.close()


def shared(source: Source, step: int, task: str | None = None) -> tuple[Event, ...]:
    """The first events of a fork: a new id, and all that happened up to the end of `step`.

    Args:
        task: what this run is to do instead; the steps stay as they were.

    Raises:
        TranscriptError: there is no such step, or it gave the answer.
    """
    recording = source.recording if isinstance(source, Transcript) else read(source)
    started, last = recording.started, max(getattr(event, "step", 0) for event in recording.events)
    if not 0 <= step <= last:
        raise TranscriptError("forking a run", f"it has no step {step}", f"Its steps are 0 to {last}")
    observed = {(event.step, event.call.id) for event in recording.events if isinstance(event, Observation)}

    def is_shared(event: Event) -> bool:
        """A yes or no that led to nothing was of the other run and its task: this one asks for itself."""
        if isinstance(event, (ApprovalAsked, ApprovalGiven)):
            return (event.step, event.call.id) in observed
        return not isinstance(event, (Resumed, RunEnded))

    own = (event for event in recording.events[1:] if is_shared(event))
    kept = [event for event in own if getattr(event, "step", 0) <= step]
    if any(isinstance(event, FinalAnswer) for event in kept):
        cause = f"step {step} gave the answer, and nothing comes after it"
        raise TranscriptError("forking a run", cause, f"Fork at {step - 1} or before")
    first = replace(
        started,
        run_id=uuid.uuid4().hex[:12],
        task=task if task is not None else started.task,
        forked_from=f"{started.run_id}:{step}",
    )
    return first, *kept


def restored(agent: Agent, events: Sequence[Event], deltas: bool = False) -> Run:
    """A run of this agent that stands where these events left it."""
    run = folded(agent, events, deltas)
    if any(tool.foreign for tool in run.asking.tools):  # since the run began, perhaps
        run.context.untrusted = run.untrusted = True
    done = max((event.step for event in events if isinstance(event, _DECIDED)), default=0)
    run.context.step = done  # a step that decided nothing is begun again
    again = [call for call in run.context.pending if call.id in run.begun and run.repeatable(call)]
    for call in again:
        run.called[call.tool] -= 1
    steps = done - (run.context.awaits == "action")
    spent = spent_by(events, run.meter)
    run.meter = run.meter.after(replace(spent, steps=steps, tool_calls=spent.tool_calls - len(again)))
    return run


def folded(agent: Agent, events: Sequence[Event], deltas: bool = False) -> Run:
    """A run that has taken in these events, its answer as the agent's output type reads it."""
    run = agent.begin(_started(events), deltas)
    for event in events:
        run.take(event)
    if run.answer is not None and run.context.pending and run.context.pending[0].tool == FINAL_ANSWER:
        run.answer = run.read_answer(run.context.pending[0].arguments)
    return run


def spent_by(events: Sequence[Event], meter: Meter) -> Spent:
    """What these events have cost: all but `steps`."""
    counts = dict.fromkeys(("tool_calls", "approvals_asked", "approvals_given", "truncations", "repairs"), 0)
    prompt = cached = completion = 0
    cost = 0.0
    begun: set[tuple[int, str]] = set()
    unread = False
    for event, nested in _flat(events):
        match event:
            case DecoderCalled():
                prompt += event.usage.prompt_tokens
                cached += event.usage.cached_tokens or 0
                completion += event.usage.completion_tokens
                cost += meter.budget.price(event.usage)
            case ToolStarted():
                counts["tool_calls"] += nested or (event.step, event.call.id) not in begun
                begun |= set() if nested else {(event.step, event.call.id)}
            case ApprovalAsked():
                counts["approvals_asked"] += 1
            case ApprovalGiven():
                counts["approvals_given"] += event.approved
            case Truncated():
                counts["truncations"] += 1
            case Unparsable():
                counts["repairs"] += not unread
        if not nested and isinstance(event, _DECIDED):
            unread = isinstance(event, Unparsable) or (unread and isinstance(event, Thought))
    return Spent(
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=completion,
        seconds=_seconds(events),
        cost=cost,
        **counts,
    )


def check_same(agent: Agent, started: RunStarted, despite_changes: bool) -> None:
    """Raises TranscriptError when the agent is not the one that began the run, as far as its prompts and tools go."""
    now = agent.started(started.task, started.history, started.mode)
    differs = [
        what
        for what, name in (
            ("its system prompt", "system"),
            ("its tools", "tools"),
            ("what its tools promise", "setup"),
        )
        if getattr(now, name) != getattr(started, name)
    ]
    if now.thinking != started.thinking or now.parallel != started.parallel:
        cause = "the run was made with another `thought_tokens` (0 or not) or `parallel`"
        raise TranscriptError(STEP, cause, "Set them as they were")
    if differs and not despite_changes:
        cause = f"the agent has changed since: {', '.join(differs)}"
        raise TranscriptError(STEP, cause, "Resume with the same agent, or with despite_changes=True")


async def _going_on(run: Run, listeners: Sequence[Listener]) -> AsyncGenerator[Event]:
    from agents.agent import heard

    async with aclosing(heard(run, listeners, first=Resumed(run.context.step))) as happening:
        async for event in happening:
            yield event


def _new(path: str | PathLike[str]) -> Transcript:
    transcript = Transcript(path)
    if transcript.recording.events:
        transcript.close()
        raise TranscriptError("forking a run", f"{transcript.path} holds a run already", "Choose another file")
    return transcript


def _started(events: Sequence[Event]) -> RunStarted:
    return Recording(tuple(events), 0).started


def _flat(events: Iterable[Event], nested: bool = False) -> Iterator[tuple[Event, bool]]:
    for event in events:
        if isinstance(event, Nested):
            yield from _flat([event.event], True)
        else:
            yield event, nested


def _seconds(events: Sequence[Event]) -> float:
    """Of the decoder's calls and the tools; of reads in one step, which run side by side, the longest."""
    total = 0.0
    reads: dict[int, float] = {}
    effects = {event.call.id: event.effect for event in events if isinstance(event, ToolStarted)}
    for event in events:
        if isinstance(event, DecoderCalled):
            total += event.seconds
        elif isinstance(event, Observation) and effects.get(event.call.id) == "read":
            reads[event.step] = max(reads.get(event.step, 0.0), event.seconds)
        elif isinstance(event, Observation):
            total += event.seconds
    return total + sum(reads.values())
