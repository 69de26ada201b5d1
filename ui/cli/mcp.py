"""`hearth mcp`: knowledge bases, tools and an agent for whatever speaks the Model Context Protocol."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from decoder.errors import UsageError
from ui.cli import wiring
from ui.cli.agent_tools import HELP, parse_tools
from ui.cli.main import new_app
from ui.cli.options import BaseUrl, Debug, Docs, Embedded, Json, Model
from ui.cli.output import print_json, remark

if TYPE_CHECKING:
    from agents import Tool
    from decoder.base import Decoder

app = new_app()
STEP = "serving MCP"
KEY = "HEARTH_MCP_KEY"


@app.command()
def mcp(
    kb: Annotated[
        list[str] | None, typer.Option("--kb", metavar="NAME", help="A knowledge base to search and to ask.")
    ] = None,
    docs: Docs = None,
    tools: Annotated[str, typer.Option(metavar="LIST", help=HELP)] = "",
    agent: Annotated[
        bool, typer.Option("--agent", help="Offer an agent with these tools, too; it needs a decoder.")
    ] = False,
    http: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Serve streamable HTTP, not stdio.")
    ] = None,
    host: Annotated[str, typer.Option(help=f"Where to listen; beyond this machine only with {KEY}.")] = "127.0.0.1",
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Serve knowledge bases, tools and an agent by the Model Context Protocol.

    On stdio, a client of yours starts it with this command line; or on streamable HTTP. Only tools that read are
    offered, and web pages.
    """
    if host != "127.0.0.1" and http is None:
        raise UsageError(STEP, "--host was given without --http", "Give a port with --http")
    from agents.mcp_server import http_app, make_server, serve_stdio

    with ExitStack() as stack:
        decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
        if decoder is not None:
            stack.enter_context(closing(decoder))
        offered = parse_tools(tools) + _knowledge(stack, kb or [], docs, decoder)
        if agent:
            offered.append(_agent(offered, decoder))
        server = make_server(offered, effects=("read", "egress"))
        if http is None:
            import asyncio

            asyncio.run(serve_stdio(server))
            return 0
        return _serve_http(http_app(server, host, os.environ.get(KEY, "")), host, http, json)


def _knowledge(stack: ExitStack, names: list[str], docs: Docs, decoder: Decoder | None) -> list[Tool]:
    """Search and ask of each knowledge base; with several, their names stand in the tools' names."""
    from agents.builtin import knowledge_ask, knowledge_search

    wanted = names or ([wiring.DEFAULT] if docs is not None else [])
    made: list[Tool] = []
    for name in wanted:
        base = stack.enter_context(closing(wiring.prepare(name, docs if not names else None, decoder)))
        ending = f"_{name.replace('-', '_')}" if len(wanted) > 1 else ""
        made.append(knowledge_search(base, name=f"knowledge_search{ending}"))
        made.append(knowledge_ask(base, name=f"knowledge_ask{ending}"))
    return made


def _agent(tools: list[Tool], decoder: Decoder | None) -> Tool:
    from agents import Agent
    from agents.team import as_tool

    if decoder is None:
        raise UsageError(STEP, "an agent needs a decoder", "Start one with `hearth serve`, or give --base-url")
    worker = Agent(decoder, tuple(tools), name="agent")
    named = ", ".join(tool.name for tool in tools) or "none"
    return as_tool(worker, f"Works on a task step by step with tools of its own: {named}.")


def _serve_http(application: object, host: str, port: int, json: bool) -> int:
    import uvicorn

    address = f"http://{host}:{port}/mcp"
    print_json({"address": address}) if json else remark(f"{address}; stop it with Ctrl-C.")
    uvicorn.run(application, host=host, port=port, log_level="warning")  # type: ignore[arg-type]  # an ASGI application
    return 0
