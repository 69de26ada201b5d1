"""An agent as a node of a LangGraph graph, its taint in the graph's state.

`graph = StateGraph(AgentState); graph.add_node("agent", as_node(agent))`.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import MessagesState

from agents.agent import Agent
from agents.events import Event, RunResult
from agents.langchain_agent import AgentRunnable
from agents.langchain_said import to_message


class AgentState(MessagesState):
    """LangGraph's `messages`, and whether any node has brought in text that nobody vouches for: once true, it stays.

    A state of your own can have the same key. In one without it, the taint is in the agents' messages alone, and is
    gone with them when a node takes them away.
    """

    untrusted: Annotated[bool, operator.or_]


def as_node(agent: Agent, *, vouched: bool = False) -> AgentNode:
    """The agent as a node: it does what the user's last message says, and adds its answer to the messages.

    It takes `messages`, and `untrusted` where the state has it, and gives both. The answer's message carries the taint
    too, in `additional_kwargs`. Events go to the graph's `stream_mode="custom"`, and to the callbacks as custom events
    called "hearth". Approvals are asked of the agent's policy while the node runs: LangGraph's `interrupt` would begin
    the node, and its effects, again.

    Args:
        vouched: what other nodes' models and tools wrote is vouched for. Otherwise it taints the run.
    """
    return AgentNode(agent, "message", vouched=vouched)


class AgentNode(AgentRunnable):
    """An agent as `as_node` makes it. It raises as `AgentRunnable.ainvoke`, and the state is then as it was."""

    def _given(self, result: RunResult) -> dict[str, Any]:
        return {"messages": [to_message(result, self.agent.name)], "untrusted": result.untrusted}

    async def _events(self, given: Any, config: RunnableConfig | None, options: dict[str, Any]) -> AsyncIterator[Event]:
        write = _writer()
        happening = super()._events(given, config, options)
        try:
            async for event in happening:
                write(event)
                yield event
        finally:
            await happening.aclose()  # type: ignore[attr-defined]  # a generator


def _writer() -> Any:
    """Where the graph's custom stream is written; nowhere outside of a graph."""
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):
        return lambda event: None
