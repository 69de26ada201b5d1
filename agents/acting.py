"""Carries out an action: what may run is asked first, then reads run side by side, and all others one by one.

What may not run, and why, becomes an observation. Knows nothing of how an action comes about.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from agents.calls import short, validated
from agents.events import ApprovalAsked, ApprovalGiven, Call, Event, FinalAnswer, Hint, Observation, ToolStarted
from agents.run import Run
from agents.running import Running, enter
from agents.tool import FINAL_ANSWER, Tool

REPEATED = "You made this very call before, and it gave the same. Do something else, or answer."
ANSWER_ALONE = "final_answer stands alone: look at what the other calls gave, then answer."
ANSWER_NOW = "Only final_answer may be called now."
INTERRUPTED = "The run was interrupted during this call. It may have taken effect; it is not repeated."
NO_CALL_LEFT = "No tool call is left in the budget."
NO_TIME_LEFT = "No time is left in the budget."


@dataclass(frozen=True, slots=True)
class Ready:
    """A call that may be made: its tool, and the arguments as that takes them."""

    call: Call
    tool: Tool
    arguments: Mapping[str, Any]


async def act(run: Run) -> AsyncGenerator[Event]:
    """Carry out the pending calls of an action. A final answer is one call alone; `FinalAnswer` tells that it holds."""
    pending = list(run.context.pending)
    hints: list[Hint] = []
    if run.context.alone and pending[0].tool == FINAL_ANSWER:
        answer = _answer(run, pending[0])
        yield run.took(answer)
        hints += _repeated(run, answer)
    else:
        async with aclosing(_act(run, pending)) as happening:
            async for event in happening:
                yield run.took(event)
                if final := _final(run, event):
                    yield run.took(final)
                    return
                hints += _repeated(run, event)
    for hint in hints[:1]:
        yield run.took(hint)


def owed(run: Run) -> list[Event]:
    """In a run that goes on: what followed its last event and may not have been written."""
    last = run.last
    if not isinstance(last, Observation):
        return []
    if final := _final(run, last):
        return [final]
    return [] if run.context.awaits == "calls" else list(_repeated(run, last))


def _final(run: Run, event: Event) -> FinalAnswer | None:
    """The answer, when what a tool gave is one."""
    if not isinstance(event, Observation) or event.error or not event.ran:
        return None
    tool = run.tool(event.call)
    return FinalAnswer(event.step, event.text) if tool is not None and tool.final else None


async def _act(run: Run, pending: Sequence[Call]) -> AsyncGenerator[Event]:
    reads: list[Ready] = []
    effects: list[Ready] = []
    untrusted, left = run.untrusted, run.meter.calls_left()
    for call in pending:
        ready: list[Ready] = []
        before = Counter(each.call.tool for each in reads + effects)
        async for event in _prepare(run, call, untrusted, left is not None and before.total() >= left, before, ready):
            yield event
        for each in ready:
            (reads if each.tool.effect == "read" else effects).append(each)
    for batch in ([reads] if reads else []) + [[each] for each in effects]:
        if run.meter.seconds_left() == 0:
            for each in batch:
                yield _refused(run, each.call, NO_TIME_LEFT)
            continue
        async with aclosing(_batch(run, batch, untrusted)) as happening:
            async for event in happening:
                yield event


def _answer(run: Run, call: Call) -> FinalAnswer | Observation:
    """The answer, or why it will not do."""
    try:
        return FinalAnswer(run.context.step, run.read_answer(call.arguments))
    except (ValueError, TypeError, RecursionError) as error:
        return _refused(run, call, f"The answer is not valid: {short(run.redact(str(error)))}")


async def _prepare(
    run: Run, call: Call, untrusted: bool, out_of_budget: bool, before: Counter[str], ready: list[Ready]
) -> AsyncGenerator[Event]:
    """Everything that comes before a call. What may run is put into `ready`; what may not gets its observation.

    Args:
        before: how often each tool is called before in the same action.
    """
    tool = run.tool(call)
    if call.tool == FINAL_ANSWER:
        yield _refused(run, call, ANSWER_ALONE)
        return
    if tool is None:
        known = ", ".join([*(tool.name for tool in run.asking.tools), FINAL_ANSWER])
        yield _refused(run, call, f"There is no tool of this name. Tools: {known}")
        return
    if call.id in run.begun and not run.repeatable(call):
        yield replace(_refused(run, call, INTERRUPTED), ran=True)
        return
    arguments = validated(call, tool, run.redact)
    if isinstance(arguments, str):
        yield _refused(run, call, arguments)
        return
    if out_of_budget or run.answer_only:
        yield _refused(run, call, NO_CALL_LEFT if out_of_budget else ANSWER_NOW)
        return
    allowed = True
    async for event in _ask_policy(run, call, tool, untrusted, run.called[tool.name] + before[tool.name]):
        if isinstance(event, Observation):
            allowed = False
        yield event
    if allowed:
        ready.append(Ready(call, tool, arguments))


async def _ask_policy(run: Run, call: Call, tool: Tool, untrusted: bool, calls_before: int) -> AsyncGenerator[Event]:
    """The approval events, and an observation where the call may not be made."""
    step = run.context.step
    decision = run.policy.decide(tool, untrusted, calls_before)
    if decision.verdict == "deny":
        yield _refused(run, call, f"Not allowed: {decision.reason}.")
    elif decision.verdict == "ask":
        approved = run.approved.get(call.id)
        if approved is None:
            yield ApprovalAsked(step, call, tool.effect, decision.reason)
            run.meter.add(approvals_asked=1)
            left = run.meter.seconds_left()
            approved, by = await run.outside.approve(
                run.policy, run.user_task, call, tool, decision.reason, untrusted, left
            )
            run.meter.add(approvals_given=int(approved))
            yield ApprovalGiven(step, call, approved, by)
        if not approved:
            yield _refused(run, call, f"Not approved: {decision.reason}.")


async def _batch(run: Run, batch: Sequence[Ready], untrusted: bool) -> AsyncGenerator[Event]:
    """Calls side by side: their events as they come. Each is told to have started before any of them does."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    step, loop = run.context.step, asyncio.get_running_loop()
    for each in batch:
        run.meter.add(tool_calls=1)
        yield ToolStarted(step, each.call, each.tool.effect)

    def put(event: Event) -> None:
        """From the loop's own thread, or from a tool's."""
        loop.call_soon_threadsafe(queue.put_nowait, event) if not _on(loop) else queue.put_nowait(event)

    async def one(ready: Ready) -> None:
        call, task, told = ready.call, run.user_task, queue.join
        enter(Running(run.started.run_id, step, call, task, untrusted, run.meter, run.policy, put, told, run.depth))
        try:
            seconds = run.meter.seconds_left()
            put(await run.outside.carry_out(step, call, ready.tool, ready.arguments, seconds, run.redact))
        finally:
            queue.put_nowait(None)

    tasks = [asyncio.create_task(one(each)) for each in batch]
    try:
        for _ in batch:
            while (event := await queue.get()) is not None:
                yield event
                queue.task_done()
            queue.task_done()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _repeated(run: Run, event: Event) -> list[Hint]:
    """The hint that a first repeat gets; what a further one brings is `Run.force`."""
    return [Hint(event.step, REPEATED)] if isinstance(event, Observation) and run.repeated == 1 else []


def _refused(run: Run, call: Call, text: str) -> Observation:
    """An observation of a call that was not made. It is the loop's own words, and taints nothing."""
    return Observation(run.context.step, call, text, error=True, untrusted=False, ran=False)
