"""What `--tools` and `--mcp` mean on the command line: the tools that come with Hearth, by name, and MCP servers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from decoder.errors import UsageError

if TYPE_CHECKING:
    from agents import Tool
    from rag.knowledge import KnowledgeBase

STEP = "choosing tools"
HELP = "calculator, clock[:ZONE], files:FOLDER, web[:HOST], python; several with commas."


def parse_tools(text: str) -> list[Tool]:
    """The tools of a list such as "calculator,clock:Europe/Berlin,files:notes". Raises UsageError, ToolError."""
    return [_make(entry.strip()) for entry in text.split(",") if entry.strip()]


def knowledge_tools(base: KnowledgeBase) -> list[Tool]:
    """Search in a knowledge base."""
    from agents.builtin import knowledge_search

    return [knowledge_search(base)]


@contextmanager
def mcp_tools(servers: Sequence[str]) -> Iterator[list[Tool]]:
    """The tools of MCP servers, each an address or a command line, for as long as they are connected.

    Raises UsageError for an empty entry, McpError for a server that does not answer.
    """
    from agents.mcp_client import McpClient

    tools: list[Tool] = []
    with ExitStack() as stack:
        for number, entry in enumerate(servers, 1):
            server = entry if "://" in entry else shlex.split(entry)
            name = f"mcp{number}" if len(servers) > 1 else ""
            tools += stack.enter_context(McpClient(server, name=name)).tools()
        yield tools


def _make(entry: str) -> Tool:
    kind, _, option = entry.partition(":")
    if kind not in _MAKERS:
        raise UsageError(STEP, f"there is no tool called {kind!r}", f"Tools: {', '.join(_MAKERS)}")
    return _MAKERS[kind](option)


def _calculator(option: str) -> Tool:
    from agents.builtin import calculator

    _no_option("calculator", option)
    return calculator()


def _clock(option: str) -> Tool:
    from agents.builtin import clock

    return clock(option or "UTC")


def _files(option: str) -> Tool:
    from agents.builtin import read_files

    if not option:
        raise UsageError(STEP, "files needs a folder", "Write files:FOLDER")
    return read_files(option, documents=True)


def _web(option: str) -> Tool:
    from agents.builtin import web_fetch

    return web_fetch(hosts=[option] if option else None)


def _python(option: str) -> Tool:
    from agents.builtin import python_tool

    _no_option("python", option)
    return python_tool()


def _no_option(kind: str, option: str) -> None:
    if option:
        raise UsageError(STEP, f"{kind} takes nothing after a colon", f"Write {kind}")


_MAKERS: dict[str, Callable[[str], Tool]] = {
    "calculator": _calculator,
    "clock": _clock,
    "files": _files,
    "web": _web,
    "python": _python,
}
