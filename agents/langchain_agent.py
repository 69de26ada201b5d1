"""An agent as a LangChain Runnable: in chains, with LangChain's callbacks, streamed event by event.

`chain = prompt | as_runnable(agent) | parser`. What it is given and gives is read in `langchain_said.py`; a graph's
node is in `langchain_graph.py`; single tools are in `langchain.py`.
"""

# ruff: noqa: A002  # LangChain's own name for it is `input`

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config

from agents.agent import Agent
from agents.events import Event, RunEnded, RunResult
from agents.langchain_report import start, told, told_already
from agents.langchain_said import STEP, answer_of, read_input, to_message
from decoder.base import close_events, iterate_sync, run_sync
from decoder.errors import UsageError

Output: TypeAlias = Literal["answer", "result", "message"]


def as_runnable(agent: Agent, output: Output = "answer", *, vouched: bool = False) -> AgentRunnable:
    """The agent for LangChain.

    It takes text, a message, messages, a prompt's value, or a mapping with `input` (and `chat_history`) or with
    `messages`. The user's last message is the task, system messages are added to the agent's instructions, and the
    rest is its history. `stream` and `astream` give the run's events, ended by `RunEnded`; inside a chain, the next
    step is given the output.

    Args:
        output: "answer" (text, or an instance of the agent's output type; a run that ended without one raises
            NoAnswer), "result" (the `RunResult`, whatever ended it) or "message" (the answer as an AIMessage).
        vouched: what models and tools of others wrote in a history is vouched for. Otherwise it taints the run,
            unless it is an answer of ours that says that it is clean.
    """
    return AgentRunnable(agent, output, vouched=vouched)


class AgentRunnable(Runnable[Any, Any]):
    """An agent as `as_runnable` makes it. It holds no state: runs may go on side by side."""

    def __init__(self, agent: Agent, output: Output = "answer", *, vouched: bool = False) -> None:
        if output not in ("answer", "result", "message"):
            raise UsageError(STEP, f"{output!r} is no output", "Choose answer, result or message")
        self.agent, self.output, self.vouched = agent, output, vouched
        self.name = agent.name

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """`ainvoke` for code without an event loop."""
        return run_sync(self.ainvoke(input, ensure_config(config), **kwargs))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Do the task and give the output.

        Raises:
            UsageError: the input holds no task, or an option was given; there are none.
            NoAnswer: a budget ended the run (not where the output is the result).
            DecoderError, UnparsableAction: as `Agent.arun`.
        """
        result: RunResult | None = None
        async with aclosing(self._events(input, config, kwargs)) as happening:  # type: ignore[type-var]  # a generator
            async for event in happening:
                if isinstance(event, RunEnded):
                    result = event.result
        if result is None:
            raise AssertionError("a run ended without RunEnded and without an error")
        return self._given(result)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Event]:
        """`astream` for code without an event loop."""
        return iterate_sync(self.astream(input, ensure_config(config), **kwargs))

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Event]:
        """Do the task and yield what happens. Closing the iterator cancels what runs. Raises as `ainvoke`."""
        happening = self._events(input, config, kwargs)
        try:
            async for event in happening:
                yield event
        finally:
            await close_events(happening)

    def transform(self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """In a chain that is streamed: the output, once it is there, for the next step."""
        if pieces := list(input):
            yield self.invoke(_joined(pieces), config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """In a chain that is streamed: the output, once it is there, for the next step."""
        if pieces := [piece async for piece in input]:
            yield await self.ainvoke(_joined(pieces), config, **kwargs)

    def _given(self, result: RunResult) -> Any:
        if self.output == "result":
            return result
        return to_message(result, self.agent.name) if self.output == "message" else answer_of(result)

    async def _events(self, given: Any, config: RunnableConfig | None, options: dict[str, Any]) -> AsyncIterator[Event]:
        if options:
            raise UsageError(STEP, f"unknown options: {', '.join(sorted(options))}", "Set them on the agent")
        chain = await start(given, ensure_config(config), self.get_name())
        output: Any = None
        try:
            said = read_input(given, self.vouched)
            instructions = "\n\n".join(part for part in (self.agent.instructions, said.instructions) if part)
            agent = replace(self.agent, instructions=instructions)
            async with aclosing(
                told(chain, agent.astream(said.task, after=said), told_already(agent.tools))
            ) as happening:  # type: ignore[type-var]  # a generator
                async for event in happening:
                    yield event
                    if isinstance(event, RunEnded):
                        output = self._given(event.result)
        except GeneratorExit:
            await chain.on_chain_end(output)
            raise
        except BaseException as error:
            await chain.on_chain_error(error)
            raise
        await chain.on_chain_end(output)


def _joined(pieces: list[Any]) -> Any:
    """What an earlier step streamed, as one; pieces that do not add up are whole each, and the last one counts."""
    joined = pieces[0]
    for piece in pieces[1:]:
        try:
            joined = joined + piece
        except TypeError:
            joined = piece
    return joined
