"""`Agent`: a decoder, its tools, and the rules for both. What it does is `react.py`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from agents.budget import Budget, Meter
from agents.calls import ENDS
from agents.context import Context
from agents.errors import ToolError
from agents.events import Event, Mode, RunEnded, RunResult, RunStarted, Spent, ThoughtDelta
from agents.grammar import action_constraint, final_answer
from agents.output import answer_reader, answer_schema
from agents.policy import Policy
from agents.prompt import system_prompt
from agents.react import events
from agents.run import Run
from agents.running import running
from agents.secret import Secret, redactor, without_secrets
from agents.tool import Function, Tool, fingerprint
from agents.turn import Asking, choose_mode
from decoder.base import Decoder, close_events, iterate_sync, run_sync
from decoder.errors import UsageError
from decoder.types import Message, Sampling

if TYPE_CHECKING:
    from agents.resume import Source

Listener: TypeAlias = Callable[[Event], None]


class Said(Protocol):
    """A conversation that a run can go on from: a `RunResult`, a `Conversation`."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of it, without the system message."""

    @property
    def untrusted(self) -> bool:
        """Text that nobody vouches for is in it."""


After: TypeAlias = Said | Sequence[Message]


@dataclass(frozen=True, slots=True)
class Agent:
    """Does tasks with tools: `Agent(decoder, [add]).run("What is 2 + 2?").answer`.

    Attributes:
        decoder: any decoder. One that can be constrained cannot write a malformed action.
        tools: what it may call: tools, typed functions to make tools of, or tools of LangChain and LlamaIndex.
        name, instructions: who it is; instructions stand in the system message.
        budget: what a run may cost.
        policy: what may be done without asking, and whom to ask.
        output: the type of the answer (a pydantic model, dataclass, TypedDict or JSON schema); None is text.
        sampling: how tokens are drawn; `max_tokens` comes from the next two.
        thought_tokens: most tokens of a thought; 0 acts without thinking.
        action_tokens: most tokens of an action.
        mode: "constrained", "native" or "text"; None takes constrained where the decoder can be held to it, else text.
        parallel: an action may be several calls; those that only read run side by side.
        secrets: values that never enter a prompt, an event or an error.
        listeners: called with every event before it is yielded; what one raises ends the run.
    """

    decoder: Decoder
    tools: Sequence[Tool | Function | object] = ()
    name: str = "agent"
    instructions: str = ""
    budget: Budget = field(default_factory=Budget)
    policy: Policy = field(default_factory=Policy)
    output: type | Mapping[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    thought_tokens: int = 256
    action_tokens: int = 1024
    mode: Mode | None = None
    parallel: bool = False
    secrets: Sequence[Secret] = ()
    listeners: Sequence[Listener] = ()

    def __post_init__(self) -> None:
        made = tuple(each if isinstance(each, Tool) else _made(each) for each in self.tools)
        names = [tool.name for tool in made]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ToolError("making an agent", f"two tools are called {', '.join(twice)}", "Give each its own name")
        if self.mode not in (None, "constrained", "native", "text"):
            raise ToolError("making an agent", f"{self.mode!r} is no mode", "Modes: constrained, native, text")
        if self.output is not None and (ending := [tool.name for tool in made if tool.final]):
            cause = f"the answer of {', '.join(ending)} would be the agent's, and it is text"
            raise ToolError("making an agent", cause, "Leave out `output`, or use as_tool")
        object.__setattr__(self, "tools", made)

    def run(self, task: str, *, after: After = (), listeners: Iterable[Listener] = ()) -> RunResult:
        """`arun` for code without an event loop."""
        return run_sync(self.arun(task, after=after, listeners=listeners))

    def stream(self, task: str, *, after: After = (), listeners: Iterable[Listener] = ()) -> Iterator[Event]:
        """`astream` for code without an event loop."""
        return iterate_sync(self.astream(task, after=after, listeners=listeners))

    async def arun(self, task: str, *, after: After = (), listeners: Iterable[Listener] = ()) -> RunResult:
        """Do a task and give the result, whatever ended it.

        Args:
            after: an earlier result, a conversation, or messages, that this task goes on from. Bare messages do not
                know whether they are tainted: those that are not the user's own count as untrusted.
            listeners: called with every event, as well as the agent's own.

        Raises:
            DecoderError: its leaves, when the decoder cannot answer; ConstraintRefused before anything is spent.
            UnparsableAction: in the modes without constraints, after one repair.
        """
        return await last_result(self._events(task, after, listeners, deltas=False))

    async def astream(
        self, task: str, *, after: After = (), listeners: Iterable[Listener] = ()
    ) -> AsyncIterator[Event]:
        """Do a task and yield what happens, ended by `RunEnded`. Closing the iterator cancels what runs.

        Raises as `arun`.
        """
        happening = self._events(task, after, listeners, deltas=True)
        try:
            async for event in happening:
                yield event
        finally:
            await close_events(happening)

    def resume(
        self, transcript: Source, *, listeners: Iterable[Listener] = (), despite_changes: bool = False
    ) -> RunResult:
        """`aresume` for code without an event loop."""
        return run_sync(self.aresume(transcript, listeners=listeners, despite_changes=despite_changes))

    def resume_stream(
        self, transcript: Source, *, listeners: Iterable[Listener] = (), despite_changes: bool = False
    ) -> Iterator[Event]:
        """`aresume_stream` for code without an event loop."""
        return iterate_sync(self.aresume_stream(transcript, listeners=listeners, despite_changes=despite_changes))

    async def aresume(
        self, transcript: Source, *, listeners: Iterable[Listener] = (), despite_changes: bool = False
    ) -> RunResult:
        """Go on with a run from its transcript, and give the result; a finished run's is given at once.

        No call that has its observation is made again. One that was begun is made again only if it reads or is
        idempotent; of any other the decoder is told that it may have taken effect.

        Args:
            transcript: its file, which is gone on with, or an open `Transcript`.
            listeners: called with what happens from here on, as well as the agent's own.
            despite_changes: go on although tools or the system prompt are not what they were; the run keeps the
                system prompt that it began with.

        Raises:
            TranscriptError: it is damaged, being written, or of an agent that has changed.
            DecoderError, UnparsableAction: as `arun`.
        """
        return await last_result(self._resumed(transcript, listeners, False, despite_changes))

    async def aresume_stream(
        self, transcript: Source, *, listeners: Iterable[Listener] = (), despite_changes: bool = False
    ) -> AsyncIterator[Event]:
        """As `aresume`, yielding what happens from here on: `Resumed` first, or `RunEnded` alone. Raises as it."""
        async with aclosing(self._resumed(transcript, listeners, True, despite_changes)) as happening:
            async for event in happening:
                yield event

    def _resumed(
        self, transcript: Source, listeners: Iterable[Listener], deltas: bool, despite_changes: bool
    ) -> AsyncGenerator[Event]:
        from agents.resume import resumed

        return resumed(self, transcript, listeners, deltas, despite_changes)

    def fork(
        self,
        transcript: Source,
        step: int,
        *,
        task: str | None = None,
        to: str | PathLike[str] | None = None,
        listeners: Iterable[Listener] = (),
    ) -> RunResult:
        """`afork` for code without an event loop."""
        return run_sync(self.afork(transcript, step, task=task, to=to, listeners=listeners))

    async def afork(
        self,
        transcript: Source,
        step: int,
        *,
        task: str | None = None,
        to: str | PathLike[str] | None = None,
        listeners: Iterable[Listener] = (),
    ) -> RunResult:
        """A new run that shares another's events up to the end of `step`, and goes on by itself.

        What the shared steps cost counts for its budget. Effects of later steps of the other run are not undone.

        Args:
            transcript: of the other run, which stays as it is.
            step: from 0, which shares nothing but the task.
            task: what is to be done instead of the other run's task.
            to: a file for its own transcript.

        Raises:
            TranscriptError: there is no such step or it gave the answer, the agent has changed, or `to` is in use.
            DecoderError, UnparsableAction: as `arun`.
        """
        from agents.resume import forked

        return await last_result(forked(self, transcript, step, task, to, tuple(listeners)))

    def fork_stream(
        self,
        transcript: Source,
        step: int,
        *,
        task: str | None = None,
        to: str | PathLike[str] | None = None,
        listeners: Iterable[Listener] = (),
    ) -> Iterator[Event]:
        """`afork_stream` for code without an event loop."""
        return iterate_sync(self.afork_stream(transcript, step, task=task, to=to, listeners=listeners))

    async def afork_stream(
        self,
        transcript: Source,
        step: int,
        *,
        task: str | None = None,
        to: str | PathLike[str] | None = None,
        listeners: Iterable[Listener] = (),
    ) -> AsyncIterator[Event]:
        """As `afork`, yielding what happens after the shared events: `Resumed` first. Raises as it."""
        from agents.resume import forked

        async with aclosing(forked(self, transcript, step, task, to, tuple(listeners))) as happening:
            async for event in happening:
                yield event

    async def _events(
        self, task: str, after: After, listeners: Iterable[Listener], deltas: bool, meter: Meter | None = None
    ) -> AsyncIterator[Event]:
        mode = await self.ready_mode()
        started = self.started(task, after, mode)
        run = self.begin(started, deltas, meter)
        run.take(started)
        async with aclosing(heard(run, [*self.listeners, *listeners], first=started)) as happening:
            async for event in happening:
                yield event

    async def ready_mode(self) -> Mode:
        """How this agent's decoder is asked; finds out what the decoder enforces. Raises DecoderError leaves."""
        await self.decoder.aready()
        return choose_mode(self.decoder, self.mode)

    def started(self, task: str, after: After, mode: Mode) -> RunStarted:
        """The first event of a new run."""
        tools = self._tools
        history, untrusted = _before(after)
        around = running()
        untrusted = untrusted or (around is not None and around.untrusted)
        described = [*(tool.spec for tool in tools), final_answer(answer_schema(self.output))]
        redact = redactor(self.secrets)
        return RunStarted(
            run_id=uuid.uuid4().hex[:12],
            agent=self.name,
            task=redact(task),
            system=redact(system_prompt(mode, described, self.instructions)),
            mode=mode,
            model=self.decoder.model,
            tools=tuple(tool.name for tool in tools),
            history=without_secrets(history, redact),
            untrusted=untrusted or any(tool.foreign for tool in tools),
            thinking=self.thought_tokens > 0,
            parallel=self.parallel,
            setup=fingerprint(tools, described[-1].parameters),
        )

    def begin(self, started: RunStarted, deltas: bool, meter: Meter | None = None, spent: Spent | None = None) -> Run:
        """A run of this agent, before its first event. `meter` is a parent's; `spent` is of a part already done."""
        answer, held = final_answer(answer_schema(self.output)), started.mode == "constrained"
        asking = Asking(
            decoder=self.decoder,
            mode=started.mode,
            tools=self._tools,
            answer=answer,
            actions=action_constraint(self._tools, answer, started.parallel) if held else None,
            only_answer=action_constraint((), answer, started.parallel) if held else None,
            typed_answer=self.output is not None,
            sampling=self.sampling,
            thought_tokens=self.thought_tokens,
            action_tokens=self.action_tokens,
            several=started.parallel,
            deltas=deltas,
        )
        context = Context(started.mode, started.thinking, started.parallel)
        meter = Meter(self.budget, spent, meter)
        reader, redact = answer_reader(self.output), redactor(self.secrets)
        return Run(asking, self.policy, meter, started, context, reader, redact, user_task=started.task)

    @property
    def _tools(self) -> tuple[Tool, ...]:
        """The tools as the decoder is told of them."""
        redact = redactor(self.secrets)
        return tuple(_told(each, redact) if self.secrets else each for each in self.tools if isinstance(each, Tool))


def _told(tool: Tool, redact: Callable[[str], str]) -> Tool:
    parameters = without_secrets(tool.parameters, redact)
    return replace(tool, description=redact(tool.description), parameters=parameters)


async def heard(run: Run, listeners: Sequence[Listener], first: Event | None = None) -> AsyncGenerator[Event]:
    """The run's events, each told to the listeners before it is yielded; deltas are not told."""
    if first is not None:
        _tell(listeners, first)
        yield first
    happening = events(run)
    try:
        async for event in happening:
            if not isinstance(event, ThoughtDelta):
                _tell(listeners, event)
            yield event
    finally:
        await close_events(happening)


def _tell(listeners: Sequence[Listener], event: Event) -> None:
    for listener in listeners:
        try:
            listener(event)
        except ENDS as error:
            raise RuntimeError(f"a listener raised {type(error).__name__}: {error}") from error


async def last_result(happening: AsyncIterator[Event]) -> RunResult:
    """The result that a run's events end with."""
    try:
        async for event in happening:
            if isinstance(event, RunEnded):
                return event.result
    finally:
        await close_events(happening)
    raise AssertionError("a run ended without RunEnded and without an error")


def _before(after: After) -> tuple[tuple[Message, ...], bool]:
    """The messages before a task, and whether they are untrusted: of bare ones, all that is not the user's own is."""
    if hasattr(after, "messages") and hasattr(after, "untrusted"):
        return tuple(after.messages), bool(after.untrusted)
    if not isinstance(after, Sequence) or not all(isinstance(m, Message) for m in after):
        raise UsageError("starting a run", "`after` is no result, conversation or messages", "Give the earlier result")
    if any(message.role == "system" for message in after):
        raise UsageError("starting a run", "`after` holds a system message", "Give it as the agent's instructions")
    return tuple(after), any(message.role != "user" for message in after)


def _made(value: Any) -> Tool:
    from agents.foreign import as_tool

    return as_tool(value)
