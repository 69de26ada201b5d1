"""The ReAct loop (Yao et al. 2022, arXiv:2210.03629): thought, action, observation, until there is an answer.

It puts the parts together and decides nothing itself: `turn.py` asks the decoder, `policy.py` says what may be done,
`calls.py` does it, `budget.py` and `loops.py` end it, `context.py` remembers it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from agents import turn
from agents.approval import ask_approver
from agents.budget import Meter
from agents.calls import carry_out, validated
from agents.context import Context
from agents.errors import UnparsableAction
from agents.events import (
    Action,
    ApprovalAsked,
    ApprovalGiven,
    Call,
    Effect,
    Ended,
    Event,
    FinalAnswer,
    Hint,
    Nested,
    Observation,
    Resumed,
    RunEnded,
    RunResult,
    RunStarted,
    ToolStarted,
    Truncated,
    Unparsable,
)
from agents.loops import LoopDetector
from agents.policy import Policy
from agents.running import Running, enter
from agents.tool import FINAL_ANSWER, Tool
from agents.turn import Asking
from decoder.base import close_events
from decoder.types import assistant, user

REPEATED = "You made this very call before, and it gave the same. Do something else, or answer."
LOOPING = "You are repeating yourself. Answer now with what you know."
ANSWER_ALONE = "final_answer stands alone: look at what the other calls gave, then answer."
MOST_CUT_OFF = 3
READ_ANSWER = Callable[[Mapping[str, Any]], Any]


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
            by their ids, which are unique within one action alone.
        repeated: how often the last observation was seen before.
        alone: the call of final_answer that the action begins with; nothing beside it is carried out.
        untrusted: the taint under which the action was decided, whatever its own calls have brought since.
        last: the last event.
        answer: what the final answer is, once there is one.
    """

    asking: Asking
    policy: Policy
    meter: Meter
    started: RunStarted
    context: Context
    read_answer: READ_ANSWER
    redact: Callable[[str], str]
    user_task: str = ""
    depth: int = 0
    outside: Outside = field(default_factory=Outside)
    loops: LoopDetector = field(default_factory=LoopDetector)
    called: Counter[str] = field(default_factory=Counter)
    approved: dict[str, bool] = field(default_factory=dict)
    begun: dict[str, Effect] = field(default_factory=dict)
    unrepeatable: set[str] = field(default_factory=set)
    force: str = ""
    forced: bool = False
    cut_off: int = 0
    unread: int = 0
    repeated: int = 0
    untrusted: bool = False
    alone: str = ""
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
            case Observation() if event.ran:
                self.repeated = self.loops.repeats(event)
                self.force = self.force or (LOOPING if self.repeated > 1 else "")
            case Nested() if _has_effect(event.event):
                self.unrepeatable.add(event.call_id)
            case Truncated() | Unparsable():
                self.cut_off += isinstance(event, Truncated)
                self.unread += isinstance(event, Unparsable)
            case Action():
                self._decided(event)
            case Hint():
                self.forced = self.forced or event.force_answer
            case FinalAnswer():
                self.answer = event.answer

    def _decided(self, action: Action) -> None:
        self.cut_off = self.unread = 0
        self.approved, self.begun, self.unrepeatable = {}, {}, set()
        self.untrusted = self.context.untrusted
        self.alone = action.calls[0].id if action.calls[0].tool == FINAL_ANSWER else ""

    def repeatable(self, call: Call) -> bool:
        """A call that was begun and has no observation may be made again: it and what it called only read."""
        tool = next((tool for tool in self.asking.tools if tool.name == call.tool), None)
        reads = tool is not None and tool.effect == self.begun.get(call.id) == "read"
        return tool is not None and (reads or tool.idempotent) and call.id not in self.unrepeatable


async def events(run: Run) -> AsyncGenerator[Event]:
    """All that happens from here on, ended by `RunEnded`. Raises DecoderError leaves and UnparsableAction."""
    for event in _owed(run):
        yield event
    while run.context.awaits != "nothing":
        acting = run.context.awaits == "calls"
        if not acting and (ended := _over(run)):
            yield _end(run, ended)
            return
        try:
            async with aclosing(_calls(run) if acting else _turn(run)) as happening:
                async for event in happening:
                    yield event
                    if isinstance(event, FinalAnswer):
                        break
        except TimeoutError:
            yield _end(run, "seconds")
            return
    yield _end(run, "answer", run.answer)


def _owed(run: Run) -> list[Event]:
    """In a run that goes on: what followed its last event and may not have been written."""
    last = run.last
    return [_took(run, event) for event in _afterwards(run, last)] if isinstance(last, Observation) else []


def _over(run: Run) -> Ended | None:
    """What leaves no room for another turn."""
    return run.meter.exhausted() or ("truncated" if run.cut_off >= MOST_CUT_OFF else None)


async def _turn(run: Run) -> AsyncGenerator[Event]:
    """One step: what the decoder thinks and decides."""
    only_answer = run.force or run.meter.must_answer()
    run.meter.add(steps=1)
    if run.context.awaits == "turn":
        run.context.step += 1
    if only_answer and not run.forced:
        yield _took(run, Hint(run.context.step, f"{only_answer} Call {FINAL_ANSWER} now.", force_answer=True))
    asked = run.outside.ask(run.asking, run.context, run.meter, bool(only_answer))
    try:
        async for event in asked:
            yield _took(run, event)
            if isinstance(event, Truncated):
                run.meter.add(truncations=1)
            elif isinstance(event, Unparsable):
                _repair(run, event)
    finally:
        await close_events(asked)


def _repair(run: Run, event: Unparsable) -> None:
    """One repair is free. Raises UnparsableAction when the action before could not be read either."""
    if run.unread > 1:
        cause = f"the decoder's action could not be read twice in a row ({event.cause})"
        error = UnparsableAction(turn.STEP, cause, "Use a decoder that can be constrained, or a larger model")
        error.text = event.text[:2000]
        raise error
    run.meter.add(repairs=1)


async def _calls(run: Run) -> AsyncGenerator[Event]:
    """Carry out the pending calls: what may run is asked first, then reads run side by side, others one by one."""
    pending = list(run.context.pending)
    if run.alone:
        for event in _answer(run, pending):
            yield event
        return
    reads: list[tuple[Call, Tool, Mapping[str, Any]]] = []
    effects: list[tuple[Call, Tool, Mapping[str, Any]]] = []
    untrusted, left = run.untrusted, run.meter.calls_left()
    for call in pending:
        ready: list[tuple[Call, Tool, Mapping[str, Any]]] = []
        out_of_budget = left is not None and len(reads) + len(effects) >= left
        async for event in _prepare(run, call, untrusted, out_of_budget, ready):
            yield _took(run, event)
        for each in ready:
            (reads if each[1].effect == "read" else effects).append(each)
    for batch in ([reads] if reads else []) + [[each] for each in effects]:
        async with aclosing(_batch(run, batch, untrusted)) as happening:
            async for event in happening:
                yield _took(run, event)
                if isinstance(event, Observation):
                    for more in _afterwards(run, event):
                        yield _took(run, more)


def _answer(run: Run, pending: Sequence[Call]) -> list[Event]:
    """The answer, or why it will not do."""
    step, first = run.context.step, pending[0]
    if first.id != run.alone:  # a run that goes on: the answer was refused before
        return [_took(run, _refused(step, call, ANSWER_ALONE)) for call in pending]
    try:
        answer = run.read_answer(first.arguments)
    except (ValueError, TypeError) as error:
        made: list[Event] = [_refused(step, first, f"The answer is not valid: {str(error)[:500]}")]
        made += [_refused(step, call, ANSWER_ALONE) for call in pending[1:]]
        for event in made:
            run.take(event)
        return made
    final = FinalAnswer(step, answer)
    run.take(final)
    return [final]


async def _prepare(
    run: Run,
    call: Call,
    untrusted: bool,
    out_of_budget: bool,
    ready: list[tuple[Call, Tool, Mapping[str, Any]]],
) -> AsyncGenerator[Event]:
    """Everything that comes before a call. What may run is put into `ready`; what may not gets its observation."""
    step = run.context.step
    tool = next((tool for tool in run.asking.tools if tool.name == call.tool), None)
    if call.tool == FINAL_ANSWER:
        yield _refused(step, call, ANSWER_ALONE)
        return
    if tool is None:
        known = ", ".join(tool.name for tool in run.asking.tools)
        yield _refused(step, call, f"There is no tool of this name. Tools: {known}, {FINAL_ANSWER}")
        return
    if call.id in run.begun and not run.repeatable(call):
        text = "The run was interrupted during this call. It may have taken effect; it is not repeated."
        yield replace(_refused(step, call, text), ran=True)
        return
    arguments = validated(call, tool)
    if isinstance(arguments, str):
        yield _refused(step, call, run.redact(arguments))
        return
    if out_of_budget:
        yield _refused(step, call, "No tool call is left in the budget.")
        return
    allowed = True
    async for event in _ask_policy(run, call, tool, untrusted):
        if isinstance(event, Observation):
            allowed = False
        yield event
    if allowed:
        ready.append((call, tool, arguments))


async def _ask_policy(run: Run, call: Call, tool: Tool, untrusted: bool) -> AsyncGenerator[Event]:
    """The approval events, and an observation where the call may not be made."""
    step = run.context.step
    decision = run.policy.decide(tool, untrusted, run.called[tool.name])
    if decision.verdict == "deny":
        yield _refused(step, call, f"Not allowed: {decision.reason}.")
    elif decision.verdict == "ask":
        approved = run.approved.get(call.id)
        if approved is None:
            yield ApprovalAsked(step, call, tool.effect, decision.reason)
            run.meter.add(approvals_asked=1)
            approved, by = await run.outside.approve(run.policy, run.user_task, call, tool, decision.reason, untrusted)
            run.meter.add(approvals_given=int(approved))
            yield ApprovalGiven(step, call, approved, by)
        if not approved:
            yield _refused(step, call, f"Not approved: {decision.reason}.")


async def _batch(
    run: Run, batch: Sequence[tuple[Call, Tool, Mapping[str, Any]]], untrusted: bool
) -> AsyncGenerator[Event]:
    """Calls side by side: their events as they come."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    step = run.context.step
    for call, tool, _ in batch:
        run.meter.add(tool_calls=1)
        yield ToolStarted(step, call, tool.effect)

    async def one(call: Call, tool: Tool, arguments: Mapping[str, Any]) -> None:
        enter(
            Running(
                run.started.run_id,
                step,
                call,
                run.user_task,
                untrusted,
                run.meter,
                run.policy,
                put,
                queue.join,
                run.depth,
            )
        )
        try:
            put(await run.outside.carry_out(step, call, tool, arguments, run.meter.seconds_left(), run.redact))
        finally:
            queue.put_nowait(None)

    def put(event: Event) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, event) if not _on(loop) else queue.put_nowait(event)

    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(one(*each)) for each in batch]
    try:
        for _ in batch:
            while (event := await queue.get()) is not None:
                yield event
                queue.task_done()
            queue.task_done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _afterwards(run: Run, event: Observation) -> list[Event]:
    """The answer, when the tool's result is one; a hint, when the call was seen before."""
    tool = next((tool for tool in run.asking.tools if tool.name == event.call.tool), None)
    if tool is not None and tool.final and event.ran and not event.error:
        return [FinalAnswer(event.step, event.text)]
    return [Hint(event.step, REPEATED)] if event.ran and run.repeated == 1 else []


def _has_effect(event: Event) -> bool:
    """A tool with an effect was started, at any depth."""
    if isinstance(event, Nested):
        return _has_effect(event.event)
    return isinstance(event, ToolStarted) and event.effect != "read"


def _refused(step: int, call: Call, text: str) -> Observation:
    """An observation of a call that was not made. It is the loop's own words, and taints nothing."""
    return Observation(step, call, text, error=True, untrusted=False, ran=False)


def _took(run: Run, event: Event) -> Event:
    run.take(event)
    return event


def _end(run: Run, ended: Ended, answer: Any = None) -> RunEnded:
    from agents.calls import as_text

    said = [assistant(as_text(answer))] if ended == "answer" else []
    messages = (*run.started.history, user(run.started.task), *said)
    untrusted = run.context.untrusted
    return RunEnded(RunResult(run.started.run_id, answer, ended, run.meter.spent, messages, untrusted))
