"""Agents that work for agents: as a tool, by handing over, and side by side.

A worker has a budget of its own inside its caller's, its events are in the caller's stream, and what it reads taints
its caller too. What needs approval in a worker without an approver is asked of the caller's, with the user's own
words, not with what one agent wrote to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agents.agent import Agent, Listener, heard, last_result
from agents.budget import Budget, Meter
from agents.errors import ToolError
from agents.events import Event, Nested, RunEnded, RunResult
from agents.policy import Policy
from agents.running import Running, running
from agents.secret import without_secrets
from agents.tool import Tool, ToolResult
from decoder.base import close_events, run_sync
from decoder.errors import DecoderError, HearthError, UsageError

DEEPEST = 5
LONGEST_ANSWER = 100_000
UNLIMITED = Budget(steps=None, tokens=None, seconds=None, tool_calls=None)
STEP = "calling an agent"
TASK: Mapping[str, Any] = {
    "type": "object",
    "properties": {"task": {"type": "string", "description": "The whole task: it sees nothing else."}},
    "required": ["task"],
    "additionalProperties": False,
}


def as_tool(agent: Agent, description: str, name: str = "") -> Tool:
    """A tool that gives `agent` a task and returns its answer.

    It counts as reading, so that several run side by side: what the agent's own tools may do is decided by its policy
    at each of their calls, with the taint of the conversation that called it. Inside a run, its meter counts for the
    caller's budget too, and it ends when the caller's is spent. Called from anywhere else, its task counts as
    untrusted, since nobody knows who wrote it.

    Args:
        description: when to use it, for the calling decoder.
        name: by default the agent's.
    """
    return _agent_tool(agent, name or agent.name, description, final=False)


def hand_off(agent: Agent, description: str) -> Tool:
    """A tool that passes the work on to `agent` for good: what that answers is the answer of the run.

    Args:
        description: when to pass on, for the calling decoder.
    """
    return _agent_tool(agent, f"hand_off_to_{agent.name}", description, final=True)


def supervisor(agent: Agent, workers: Mapping[str, Agent]) -> Agent:
    """`agent` with a team: each worker is one of its tools, and one action may call several, which run side by side.

    Args:
        workers: by what each is good for, such as {"Looks things up in the manual.": reader}.
    """
    team = tuple(as_tool(worker, description) for description, worker in workers.items())
    return replace(agent, tools=(*agent.tools, *team), parallel=True)


def fan_out(agent: Agent, tasks: Sequence[str], budget: Budget | None = None, at_once: int = 4) -> list[RunResult]:
    """`afan_out` for code without an event loop."""
    return run_sync(afan_out(agent, tasks, budget, at_once))


async def afan_out(
    agent: Agent, tasks: Sequence[str], budget: Budget | None = None, at_once: int = 4
) -> list[RunResult]:
    """Several tasks by the same agent, at most `at_once` at a time, together inside `budget`; results in their order.

    A decoder's error ends all of them, and is raised. Raises UsageError when `at_once` is below 1.
    """
    if at_once < 1:
        raise UsageError("fanning out", f"at_once={at_once} starts nothing", "Give 1 or more")
    meter = Meter(budget or UNLIMITED)
    gate = asyncio.Semaphore(at_once)

    async def one(task: str) -> RunResult:
        async with gate:
            return await last_result(nested(agent, task, meter))

    failed: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            running_tasks = [group.create_task(one(task)) for task in tasks]
    except* HearthError as errors:
        failed = errors.exceptions[0]
    if failed is not None:
        raise failed
    return [task.result() for task in running_tasks]


async def nested(
    agent: Agent,
    task: str,
    meter: Meter,
    around: Running | None = None,
    listeners: Sequence[Listener] = (),
    vouched: bool = True,
) -> AsyncIterator[Event]:
    """The events of a run inside another one, or under a meter that others share.

    Args:
        vouched: the task is the words of this program's user.
    """
    policy = agent.policy if around is None else _with_approver(agent.policy, around.policy)
    worker = replace(agent, policy=policy)
    started = worker.started(task, (), await worker.ready_mode())
    # Outside of a run nobody knows who wrote the task: a tool's caller is not the user.
    started = replace(started, untrusted=started.untrusted or not vouched or bool(around and around.untrusted))
    if around is not None:
        started = without_secrets(started, around.redact)
    run = worker.begin(started, deltas=False, meter=meter)
    if around is not None:
        run.user_task, run.depth = around.task, around.depth + 1
        own, above = run.redact, around.redact
        run.redact = lambda text: above(own(text))
    run.take(started)
    async with aclosing(heard(run, [*worker.listeners, *listeners], first=started)) as happening:
        async for event in happening:
            yield event


def _agent_tool(agent: Agent, name: str, description: str, final: bool) -> Tool:
    async def work(task: str) -> ToolResult:
        around = running()
        if around is None:
            result = await last_result(nested(agent, task, Meter(UNLIMITED), vouched=False))
        else:
            result = await _inside(agent, task, around)
        if not result.ok:
            raise ToolError(STEP, f"{agent.name} ended without an answer ({result.ended})")
        return ToolResult(result.answer, result.untrusted)

    seconds = agent.budget.seconds
    return Tool(
        name=name,
        description=description,
        parameters=TASK,
        run=work,
        validate=_task,
        effect="read",
        timeout=86_400.0 if seconds is None else max(seconds, 0.001) + 1.0,
        max_characters=LONGEST_ANSWER if final else 8_000,
        final=final,
    )


def _task(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    task = arguments.get("task")
    if set(arguments) != {"task"} or not isinstance(task, str) or not task.strip():
        raise ValueError('it takes {"task": "text"}')
    return {"task": task}


async def _inside(agent: Agent, task: str, around: Running) -> RunResult:
    """A worker's run, its events told to the run around it. Raises ToolError."""
    if around.depth + 1 >= DEEPEST:
        raise ToolError(STEP, f"agents call each other {DEEPEST} deep", "Do it without calling another")
    happening = nested(agent, task, around.meter, around)
    try:
        async for event in happening:
            around.emit(Nested(around.step, around.call.id, agent.name, event))
            await around.told()
            if isinstance(event, RunEnded):
                return event.result
    except DecoderError as error:
        raise ToolError(STEP, f"{agent.name} failed: {error.cause}", error.remedy) from error
    finally:
        await close_events(happening)
    raise AssertionError("a run ended without RunEnded and without an error")


def _with_approver(policy: Policy, above: Policy) -> Policy:
    return policy if policy.approve is not None else replace(policy, approve=above.approve)
