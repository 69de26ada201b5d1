"""Tells LangChain's callbacks of a run: it is a chain, its calls of tools are tools, its events are custom events.

So a run is seen in whatever follows LangChain's callbacks. Calls of the decoder are not told one by one: they are in
the events, and their sum is in the answer's `usage_metadata`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, AsyncCallbackManagerForToolRun
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_async_callback_manager_for_config, var_child_runnable_config
from langchain_core.tools import ToolException

from agents.events import Event, Observation, ToolStarted
from agents.tool import Tool

EVENT = "hearth"


async def start(given: Any, config: RunnableConfig, name: str) -> AsyncCallbackManagerForChainRun:
    """The chain's beginning, told to the config's callbacks."""
    manager = get_async_callback_manager_for_config(config)
    return await manager.on_chain_start(
        None, given, name=config.get("run_name") or name, run_id=config.pop("run_id", None)
    )


def told_already(tools: Iterable[object]) -> frozenset[str]:
    """Names of tools that are LangChain's: inside a chain or a graph, these tell its callbacks themselves."""
    if var_child_runnable_config.get() is None:
        return frozenset()
    module = "agents.langchain"
    return frozenset(
        each.name for each in tools if isinstance(each, Tool) and getattr(each.run, "__module__", "") == module
    )


async def told(
    chain: AsyncCallbackManagerForChainRun, happening: AsyncIterator[Event], already: frozenset[str]
) -> AsyncIterator[Event]:
    """The run's events, each told to the callbacks before it is yielded. Calls of the tools `already` are not."""
    manager = chain.get_child()
    tools: dict[str, AsyncCallbackManagerForToolRun] = {}
    try:
        async with aclosing(happening):  # type: ignore[type-var]  # a generator
            async for event in happening:
                await manager.on_custom_event(EVENT, event, run_id=chain.run_id)
                if isinstance(event, ToolStarted) and event.call.tool not in already:
                    call = event.call
                    shown = json.dumps(call.arguments, ensure_ascii=False, default=str)
                    about = {"name": call.tool}
                    tools[call.id] = await manager.on_tool_start(about, shown, inputs=dict(call.arguments))
                elif isinstance(event, Observation) and event.call.id in tools:
                    await _ended(tools.pop(event.call.id), event)
                yield event
    finally:
        for tool in tools.values():
            await tool.on_tool_error(ToolException("the run was over before the tool was"))


async def _ended(tool: AsyncCallbackManagerForToolRun, seen: Observation) -> None:
    if seen.error:
        await tool.on_tool_error(ToolException(seen.text))
    else:
        await tool.on_tool_end(ToolMessage(seen.text, tool_call_id=seen.call.id, name=seen.call.tool))
