"""Our tools as an MCP server, by the official SDK: on stdio, or streamable HTTP with a key.

Whoever connects decides what to call, so a server offers what was put into it and nothing more; tools with an effect
only when that was asked for. Arguments are validated as for an agent, results bounded, secrets taken out.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents.calls import carry_out, validated
from agents.events import Call, Effect
from agents.secret import Secret, redactor
from agents.tool import Tool
from decoder.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from mcp import types
    from mcp.server.lowlevel import Server
    from starlette.applications import Starlette

STEP = "serving MCP"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_server(
    tools: Sequence[Tool],
    name: str = "hearth",
    effects: Sequence[Effect] = ("read",),
    secrets: Sequence[Secret] = (),
    instructions: str = "",
) -> Server[Any]:
    """A server that offers these tools, those whose effect is among `effects`.

    Raises:
        UsageError: none is left, or two share a name.
        MissingExtra: mcp is not installed.
    """
    try:
        from mcp.server.lowlevel import Server
    except ImportError as error:
        raise MissingExtra(STEP, "mcp", "agents") from error
    from mcp import types

    offered = {tool.name: tool for tool in tools if tool.effect in effects}
    if not offered:
        raise UsageError(STEP, "there is no tool to offer", "Name tools, or allow the effects that yours have")
    if len({tool.name for tool in tools}) < len(tools):
        raise UsageError(STEP, "two tools share a name", "Give each its own")
    redact = redactor(secrets)

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in offered.values()])

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = offered.get(params.name)
        if tool is None:
            return _result(f"There is no tool called {params.name}", error=True)
        call = Call("mcp", tool.name, params.arguments or {})
        arguments = validated(call, tool, redact)
        if isinstance(arguments, str):
            return _result(arguments, error=True)
        observation = await carry_out(1, call, tool, arguments, None, redact)
        return _result(observation.text, observation.error)

    return Server(name, instructions=instructions or None, on_list_tools=list_tools, on_call_tool=call_tool)


async def serve_stdio(server: Server[Any]) -> None:
    """Serve on standard input and output until they close. Nothing else may be printed there meanwhile."""
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def http_app(server: Server[Any], host: str = "127.0.0.1", key: str = "") -> Starlette:
    """The server as an ASGI application at /mcp, guarded against other sites' scripts, and by a key where one is set.

    Raises UsageError when it would be reachable from elsewhere without a key.
    """
    if host not in LOOPBACK and not key:
        raise UsageError(STEP, f"{host} can be reached from elsewhere, and no key is set", "Set HEARTH_MCP_KEY")
    app = server.streamable_http_app(host=host)
    if key:
        app.add_middleware(_KeyCheck, key=key)
    return app


class _KeyCheck:
    """Turns away requests without `Authorization: Bearer KEY`."""

    def __init__(self, app: Any, key: str) -> None:
        self._app, self._wanted = app, f"Bearer {key}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(given, self._wanted):
            from starlette.responses import PlainTextResponse

            refused = PlainTextResponse("The key is missing or wrong.\n", 401, {"WWW-Authenticate": "Bearer"})
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _described(tool: Tool) -> types.Tool:
    from mcp import types

    hints = types.ToolAnnotations(
        read_only_hint=tool.effect == "read", idempotent_hint=tool.idempotent, open_world_hint=tool.effect == "egress"
    )
    return types.Tool(
        name=tool.name, description=tool.description, input_schema=dict(tool.parameters), annotations=hints
    )


def _result(text: str, error: bool) -> types.CallToolResult:
    from mcp import types

    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=error)
