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
from agents.policy import Policy
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
    """Carry out the pending calls of an action. `FinalAnswer` ends the run: the answer, alone, or a final tool's."""
    pending = list(run.context.pending)
    if run.context.alone and pending[0].tool == FINAL_ANSWER:
        yield run.took(_answer(run, pending[0]))
    else:
        async with aclosing(_act(run, pending)) as happening:
            async for event in happening:
                yield run.took(event)
                for final in answered(run):
                    yield final
    for hint in hinted(run):
        yield hint


def answered(run: Run) -> list[Event]:
    """The answer, when the last event is the result of a tool whose result is one."""
    event = run.last
    if not isinstance(event, Observation) or event.error or not event.ran:
        return []
    tool = run.tool(event.call.tool)
    return [run.took(FinalAnswer(event.step, event.text))] if tool is not None and tool.final else []


def hinted(run: Run) -> list[Event]:
    """The hint that a first repeat gets, once the action has all its observations; a further one sets `run.force`."""
    owed = run.hint and run.context.awaits == "turn"
    return [run.took(Hint(run.context.step, REPEATED))] if owed else []


async def _act(run: Run, pending: Sequence[Call]) -> AsyncGenerator[Event]:
    reads: list[Ready] = []
    effects: list[Ready] = []
    left = run.meter.calls_left()
    for call in pending:
        ready: list[Ready] = []
        before = Counter(each.call.tool for each in reads + effects)
        async for event in _prepare(run, call, left is not None and before.total() >= left, before, ready):
            yield event
        for each in ready:
            (reads if each.tool.effect == "read" else effects).append(each)
    for batch in ([reads] if reads else []) + [[each] for each in effects]:
        if run.meter.seconds_left() == 0:
            for each in batch:
                yield _refused(run, each.call, NO_TIME_LEFT)
            continue
        async with aclosing(_batch(run, batch)) as happening:
            async for event in happening:
                yield event


def _answer(run: Run, call: Call) -> FinalAnswer | Observation:
    """The answer, or why it will not do."""
    try:
        return FinalAnswer(run.context.step, run.read_answer(call.arguments))
    except (ValueError, TypeError, RecursionError) as error:
        return _refused(run, call, f"The answer is not valid: {short(run.redact(str(error)))}")


async def _prepare(
    run: Run, call: Call, out_of_budget: bool, before: Counter[str], ready: list[Ready]
) -> AsyncGenerator[Event]:
    """Everything that comes before a call. What may run is put into `ready`; what may not gets its observation.

    Args:
        before: how often each tool is called before in the same action.
    """
    tool = run.tool(call.tool)
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
    if isinstance(arguments, str):  # the words of the tool's validators, which may have looked anywhere
        yield replace(_refused(run, call, arguments), untrusted=not tool.trusted)
        return
    if out_of_budget or run.forced:
        yield _refused(run, call, NO_CALL_LEFT if out_of_budget else ANSWER_NOW)
        return
    allowed = True
    async for event in _ask_policy(run, call, tool, run.called[tool.name] + before[tool.name]):
        if isinstance(event, Observation):
            allowed = False
        yield event
    if allowed:
        ready.append(Ready(call, tool, arguments))


async def _ask_policy(run: Run, call: Call, tool: Tool, calls_before: int) -> AsyncGenerator[Event]:
    """The approval events, and an observation where the call may not be made."""
    step = run.context.step
    decision = run.policy.decide(tool, run.untrusted, calls_before)
    if decision.verdict == "deny":
        yield _refused(run, call, f"Not allowed: {decision.reason}.")
    elif decision.verdict == "ask":
        approved = run.approved.get(call.id)
        if approved is None:
            yield ApprovalAsked(step, call, tool.effect, decision.reason)
            run.meter.add(approvals_asked=1)
            policy = _in_time(run.policy, run.meter.seconds_left())
            approved, by = await run.outside.approve(policy, run.user_task, call, tool, decision.reason, run.untrusted)
            run.meter.add(approvals_given=int(approved))
            yield ApprovalGiven(step, call, approved, by)
        if not approved:
            yield _refused(run, call, f"Not approved: {decision.reason}.")


def _in_time(policy: Policy, left: float | None) -> Policy:
    """Nobody is waited for longer than the run lasts."""
    return policy if left is None else replace(policy, approval_timeout=min(policy.approval_timeout, left))


async def _batch(run: Run, batch: Sequence[Ready]) -> AsyncGenerator[Event]:
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
        around = (run.user_task, run.untrusted, run.meter, run.policy)
        enter(Running(run.started.run_id, step, ready.call, *around, put, queue.join, run.depth, run.redact))
        try:
            seconds = run.meter.seconds_left()
            put(await run.outside.carry_out(step, ready.call, ready.tool, ready.arguments, seconds, run.redact))
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


def _refused(run: Run, call: Call, text: str) -> Observation:
    """An observation of a call that was not made. It is the loop's own words, and taints nothing."""
    return Observation(run.context.step, call, text, error=True, untrusted=False, ran=False)
