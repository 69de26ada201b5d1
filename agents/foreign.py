"""Tools that others made: recognised by their classes' home, so that no library is imported for it.

Knows where each kind is read, and how a tool is made of a JSON schema alone (MCP tools are of this sort).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agents.errors import ToolError
from agents.signature import read_signature
from agents.tool import STEP, Tool


def as_tool(value: Any) -> Tool:
    """A tool, a LangChain or LlamaIndex tool, or a typed function, as a tool.

    One of another library has the effect "write" unless it declares one: `from_langchain(tool, effect="read")`.

    Raises ToolError for anything else, and what the reader of its kind raises.
    """
    if isinstance(value, Tool):
        return value
    homes = {base.__module__ for base in type(value).__mro__}
    if any(home.startswith("langchain_core.tools") for home in homes):
        from agents.langchain import from_langchain

        return from_langchain(value)
    if any(home.startswith("llama_index.core.tools") for home in homes):
        from agents.llamaindex import from_llamaindex

        return from_llamaindex(value)
    if callable(value):
        return read_signature(value)
    remedy = "Give a typed function, a Tool, or a tool of LangChain or LlamaIndex"
    raise ToolError(STEP, f"{type(value).__name__} is no tool", remedy)


def schema_tool(
    name: str, description: str, schema: Mapping[str, Any], run: Callable[..., Any], **options: Any
) -> Tool:
    """A tool of a JSON schema that somebody else wrote. `run` receives the arguments as JSON.

    The decoder is held to what a token mask can follow; the arguments are then checked against the whole schema.

    Raises SchemaError for a schema that is malformed, refers to other documents, or is of no object.
    """
    from agents.schema_validator import schema_validator
    from agents.schemas import enforceable

    check = schema_validator(schema)
    return Tool(
        **{
            "name": name,
            "description": description,
            "parameters": enforceable(schema),
            "run": run,
            "validate": check,
            **options,
        }
    )
