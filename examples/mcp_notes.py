"""Tools of another process, by MCP: this file is the server (`--serve`) and the agent that uses it.

Any MCP client can use the server; any MCP server can stand in its place: `McpClient(["npx", "some-server"])`.
"""

import asyncio
import os
import sys

from which_decoder import call, which_decoder

from agents import Agent, Observation, tool
from agents.events import RunEnded
from agents.mcp_client import McpClient
from agents.mcp_server import make_server, serve_stdio

NOTES = {"rent": "The rent is due on the 3rd of each month.", "bread": "Four loaves on Saturday."}


@tool(effect="read")
def list_notes() -> list[str]:
    """The names of all notes."""
    return sorted(NOTES)


@tool(effect="read")
def read_note(name: str) -> str:
    """Read one note."""
    return NOTES[name]


SCRIPT = [
    "I see which notes there are.",
    call("list_notes"),
    "The one about the rent.",
    call("read_note", name="rent"),
    "That is it.",
    call("final_answer", answer="The rent is due on the 3rd."),
]

if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve_stdio(make_server([list_notes, read_note], "notes")))
        raise SystemExit
    # The process is given nothing of this one's environment but what is named here.
    path = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    # A call leaves this program, so it counts as sending unless we say that these two only read.
    effects = {"list_notes": "read", "read_note": "read"}
    with McpClient([sys.executable, __file__, "--serve"], env=path, effects=effects) as server:
        print(f"The server offers {', '.join(each.name for each in server.tools())}.")
        with which_decoder(SCRIPT) as decoder:
            for event in Agent(decoder, server.tools()).stream("When is the rent due?"):
                if isinstance(event, Observation):
                    print(f"  {event.call.tool}: {event.text}")
                elif isinstance(event, RunEnded):
                    print(event.result.answer)
