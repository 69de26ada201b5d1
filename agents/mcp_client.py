"""Tools of an MCP server, by the official SDK: a process on stdio, or streamable HTTP.

The session lives in one task on the background loop, so sync and async agents can call its tools from anywhere. What
a server says is untrusted: results, and the descriptions too (they stand in the prompt, so they taint a run from its
start) unless the server is vouched for. Its hints about what a tool does are believed only then.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self

from agents.errors import McpError, ToolError
from agents.events import Effect
from agents.mcp_schema import cleaned_schema, one_line
from agents.schema_validator import schema_validator
from agents.tool import Tool, ToolResult
from decoder.base import background_loop, run_sync
from decoder.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from mcp import Client

STEP = "talking to an MCP server"
LONGEST_DESCRIPTION = 2_000
LONGEST_NAME = 200
MOST_TOOLS = 200


class McpClient:
    """A connection to one MCP server: `with McpClient(["my-server"]) as server: Agent(decoder, server.tools())`.

    Args:
        server: a command with its arguments, started on stdio, or the address of a streamable HTTP endpoint.
        name: put before each tool's name, with an underscore; needed where two servers have tools of one name.
        env: variables that the process gets besides the few that are harmless; nothing else is inherited.
        cwd: the process's folder.
        effects: what single tools do, by their own names.
        effect: what the others do. A call leaves this program, so by default it counts as sending.
        trusted: the server is vouched for: its results and descriptions do not taint, and its hint that a tool only
            reads is believed.
        timeout: seconds for connecting, and for each call.

    Attributes:
        left_out: tools that could not be offered on, with the reason: a schema that no decoder could be held to or
            that is too long, a name that is taken or reserved.
    """

    def __init__(
        self,
        server: str | Sequence[str],
        *,
        name: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        effects: Mapping[str, Effect] | None = None,
        effect: Effect = "egress",
        trusted: bool = False,
        timeout: float = 30.0,
    ) -> None:
        if not server:
            raise UsageError(STEP, "no server was given", "Give a command or an address")
        self._server, self._name = server, name
        self._env, self._cwd = env, cwd
        self._effects, self._effect = dict(effects or {}), effect
        self._trusted, self._timeout = trusted, timeout
        self.left_out: dict[str, str] = {}
        self._client: Client | None = None
        self._tools: tuple[Tool, ...] = ()
        self._closing: asyncio.Event | None = None
        self._task: Future[None] | None = None

    def tools(self) -> tuple[Tool, ...]:
        """The server's tools, as they were when the connection was opened. Raises UsageError before that."""
        if self._client is None:
            raise UsageError(STEP, "the connection is not open", "Use it in a `with` block")
        return self._tools

    async def aopen(self) -> Self:
        """Connect and read the list of tools. Raises McpError, MissingExtra."""
        if self._client is None:
            await asyncio.wrap_future(self._start())
        return self

    async def aclose(self) -> None:
        """Disconnect; a process is ended. Idempotent."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """`aclose` for code without an event loop."""
        task, self._task, self._client = self._task, None, None
        if task is None:
            return
        if self._closing is not None:
            background_loop().call_soon_threadsafe(self._closing.set)
        try:
            task.result(self._timeout)
        except Exception as error:  # the session is over either way
            raise McpError(STEP, f"closing {self._shown} failed: {_reason(error)}") from error

    def __enter__(self) -> Self:
        return run_sync(self.aopen())

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.aopen()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def _shown(self) -> str:
        return self._server if isinstance(self._server, str) else self._server[0]

    def _start(self) -> Future[None]:
        """Begin the session's task; the result is there when the tools are known."""
        try:
            import mcp  # noqa: F401  # said here, where the caller sees it
        except ImportError as error:
            raise MissingExtra(STEP, "mcp", "agents") from error
        opened: Future[None] = Future()
        self._task = asyncio.run_coroutine_threadsafe(self._live(opened), background_loop())
        return opened

    async def _live(self, opened: Future[None]) -> None:
        """The session, from connecting to closing: in one task, because its scopes must be left where they began."""
        from mcp import Client

        self._closing = asyncio.Event()
        try:
            async with asyncio.timeout(self._timeout) as limit:
                async with Client(self._target(), read_timeout_seconds=self._timeout) as client:
                    self._tools = await self._listed(client)
                    self._client = client
                    limit.reschedule(None)
                    opened.set_result(None)
                    await self._closing.wait()
        except BaseException as error:
            self._client = None
            if opened.done():
                if not isinstance(error, Exception):
                    raise
                return
            cause = f"{self._shown} does not answer: {_reason(error)}"
            failed = McpError(STEP, cause, "Start it by hand and read what it says")
            failed.__cause__ = error
            opened.set_exception(failed if isinstance(error, Exception) else error)

    def _target(self) -> Any:
        if isinstance(self._server, str):
            return self._server
        from mcp import StdioServerParameters, stdio_client

        command, *arguments = self._server
        env = None if self._env is None else dict(self._env)
        started = StdioServerParameters(command=command, args=list(arguments), env=env, cwd=self._cwd)
        # Its messages go where the interpreter began to write its own: sys.stderr may be no file (notebooks).
        return stdio_client(started, errlog=sys.__stderr__ or sys.stderr)

    async def _listed(self, client: Client) -> tuple[Tool, ...]:
        tools: list[Tool] = []
        cursor = None
        while True:
            page = await client.list_tools(cursor=cursor)
            for each in page.tools:
                try:
                    tool = self._tool(each)
                    if tool.name in {known.name for known in tools}:
                        raise ToolError(STEP, f"there is another tool that becomes {tool.name}")
                except (ToolError, RecursionError) as error:
                    self.left_out[str(each.name)[:LONGEST_NAME]] = _reason(error)
                else:
                    tools.append(tool)
            cursor = page.next_cursor
            if cursor is None or max(len(tools), len(self.left_out)) >= MOST_TOOLS:
                return tuple(tools[:MOST_TOOLS])

    def _tool(self, offered: Any) -> Tool:
        """One offered tool. Raises ToolError for one that cannot be offered on."""
        own, schema = str(offered.name), dict(offered.input_schema)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{self._name}_{own}" if self._name else own)[:64]
        description = str(offered.description or offered.title or own)
        if not self._trusted:
            description, schema = one_line(description), cleaned_schema(schema)
        hints = offered.annotations
        reads = self._trusted and hints is not None and hints.read_only_hint is True
        effect = self._effects.get(own, "read" if reads else self._effect)

        async def call(**arguments: Any) -> ToolResult:
            return await self._call(own, arguments)

        return Tool(
            name=name,
            description=description[:LONGEST_DESCRIPTION],
            parameters=schema,
            run=call,
            validate=schema_validator(schema),
            effect=effect,
            timeout=self._timeout,
            trusted=self._trusted,
            idempotent=self._trusted and hints is not None and hints.idempotent_hint is True,
            foreign=not self._trusted,
        )

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        client = self._client
        if client is None:
            raise McpError(STEP, f"the connection to {self._shown} is closed", "Keep the `with` block open")
        answer = asyncio.run_coroutine_threadsafe(
            client.call_tool(name, dict(arguments), read_timeout_seconds=self._timeout), background_loop()
        )
        try:
            result = await asyncio.wrap_future(answer)
        except Exception as error:
            raise McpError(STEP, f"{name} of {self._shown} failed: {_reason(error)}") from error
        text = _text(result)
        if result.is_error:
            raise McpError(STEP, f"{name} says: {text[:500]}")
        return ToolResult(text, untrusted=not self._trusted)


def _text(result: Any) -> str:
    """A result as text: its text parts; else its structured content; other parts are named."""
    import json

    parts = []
    for part in result.content:
        kind = getattr(part, "type", "")
        if kind == "text":
            parts.append(part.text)
        elif kind == "resource" and hasattr(part.resource, "text"):
            parts.append(part.resource.text)
        else:
            parts.append(f"[{kind or 'part'} of {getattr(part, 'mime_type', None) or 'unknown type'}]")
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)


def _reason(error: BaseException) -> str:
    """The innermost reason: the SDK's task groups wrap it."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
