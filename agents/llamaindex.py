"""Tools from LlamaIndex and for LlamaIndex."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llama_index.core.tools import AsyncBaseTool, BaseTool, FunctionTool, ToolMetadata, ToolOutput
from pydantic import BaseModel

from agents.arguments import json_validator
from agents.errors import ToolError
from agents.events import Effect
from agents.exported import use
from agents.foreign import schema_tool
from agents.schemas import arguments_schema, is_open
from agents.tool import STEP, Tool
from decoder.base import run_sync


def from_llamaindex(tool: BaseTool, effect: Effect = "write", **options: Any) -> Tool:
    """A LlamaIndex tool as ours: function tools, query engines, retrievers, and whole tool specs one by one.

    Args:
        options: other fields of `Tool`.

    Raises:
        ToolError: it wants a workflow's context, or its name will not do.
        SchemaError: its schema cannot be read.
    """
    metadata, name = tool.metadata, tool.metadata.name or ""
    if getattr(tool, "requires_context", False):
        raise ToolError(STEP, f"{name} wants a workflow's context", "Wrap it in a function of your own")
    options = {"effect": effect, **options}
    schema, run = metadata.fn_schema, _runner(tool)
    if schema is None or not schema.model_fields:  # a class that only gives a schema
        return schema_tool(name, metadata.description, metadata.get_parameters_dict(), run, **options)
    parameters = arguments_schema(schema)
    check = json_validator(schema, closed=not is_open(parameters))
    made = {"name": name, "description": metadata.description, "parameters": parameters, "run": run}
    return Tool(**{**made, "validate": check, **options})


def _runner(tool: BaseTool) -> Callable[..., Any]:
    """A plain function for a plain one, so that it has a thread of its own; else async where the tool is."""
    held = tool.partial_params if isinstance(tool, FunctionTool) else {}

    async def arun(**arguments: Any) -> Any:
        return _result(await tool.acall(**{**held, **arguments}))  # type: ignore[attr-defined]

    def run(**arguments: Any) -> Any:
        return _result(tool(**arguments))

    if isinstance(tool, FunctionTool):
        import inspect

        return arun if inspect.iscoroutinefunction(tool.real_fn) else run
    return arun if isinstance(tool, AsyncBaseTool) else run


def _result(output: ToolOutput) -> Any:
    """What the function gave where that is JSON; else the text that LlamaIndex makes of it."""
    if output.is_error:
        raise RuntimeError(output.content)
    plain = isinstance(output.raw_output, (bool, int, float, dict, list, type(None)))
    return output.raw_output if plain and output.content == str(output.raw_output) else output.content


def to_llamaindex(tool: Tool) -> FunctionTool:
    """Our tool for LlamaIndex, with its validation, timeout and bounded result, and without any policy."""

    async def call(**arguments: Any) -> str:
        return await use(tool, arguments)

    def call_now(**arguments: Any) -> str:
        return run_sync(use(tool, arguments))

    metadata = ToolMetadata(tool.description, tool.name, _model(tool.parameters))
    return FunctionTool(fn=call_now, async_fn=call, metadata=metadata)


def _model(schema: Mapping[str, Any]) -> type[BaseModel]:
    """A class that LlamaIndex reads the schema from; the tool's own validator reads the arguments."""

    class Arguments(BaseModel, extra="allow"):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return dict(schema)

    return Arguments
