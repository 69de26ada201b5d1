"""Tools from LangChain and for LangChain. The agent as a Runnable stands elsewhere.

A LangChain tool keeps its own validation, which coerces; ours comes before it and does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langchain_core.tools import Tool as TextTool
from pydantic import BaseModel, ConfigDict

from agents.arguments import json_validator
from agents.errors import ToolError
from agents.events import EFFECTS, Effect
from agents.exported import carried_out
from agents.foreign import schema_tool
from agents.schemas import arguments_schema, is_open
from agents.tool import STEP, Tool
from decoder.base import run_sync


def from_langchain(tool: BaseTool, effect: Effect | None = None, **options: Any) -> Tool:
    """A LangChain tool as ours.

    Args:
        effect: what it may do; None takes `tool.metadata["effect"]`, and "write" where that says nothing.
        options: other fields of `Tool`.

    Raises:
        ToolError: it wants something that only LangGraph can inject, or its name will not do.
        SchemaError: its schema cannot be read.
    """
    declared = (tool.metadata or {}).get("effect")
    chosen = effect or (declared if declared in EFFECTS else "write")
    if injected := sorted(_injected(tool)):
        cause = f"{tool.name} wants {', '.join(injected)}, which only LangGraph gives"
        raise ToolError(STEP, cause, "Wrap it in a function of your own")
    options = {"effect": chosen, **options}
    run = _runner(tool)
    schema = _schema(tool)
    if isinstance(schema, Mapping):
        return schema_tool(tool.name, tool.description, schema, run, **options)
    parameters = arguments_schema(schema)
    check = json_validator(schema, closed=not is_open(parameters))
    made = {"name": tool.name, "description": tool.description, "parameters": parameters, "run": run}
    return Tool(**{**made, "validate": check, **options})


def _schema(tool: BaseTool) -> type[BaseModel] | Mapping[str, Any]:
    if isinstance(tool, TextTool) and tool.args_schema is None:
        properties = {"tool_input": {"type": "string"}}
        return {"type": "object", "properties": properties, "required": ["tool_input"]}
    schema = tool.tool_call_schema
    if isinstance(schema, dict):
        return {key: value for key, value in schema.items() if key not in ("title", "description")}
    if issubclass(schema, BaseModel):
        return schema
    return cast(Mapping[str, Any], schema.schema())  # a model of pydantic's first version


def _injected(tool: BaseTool) -> set[str]:
    """Arguments that are not the decoder's to give, and that the tool cannot do without."""
    whole, shown = tool.get_input_schema(), _schema(tool)
    if isinstance(shown, Mapping) or not issubclass(whole, BaseModel):
        return set()
    return {
        name for name, field in whole.model_fields.items() if name not in shown.model_fields and field.is_required()
    }


def _runner(tool: BaseTool) -> Callable[..., Any]:
    """Async where the tool is; else a plain function, which the agent runs in a thread of its own."""
    own = type(tool)._arun not in (BaseTool._arun, StructuredTool._arun, TextTool._arun)

    async def arun(**arguments: Any) -> Any:
        return await tool.ainvoke(arguments)

    def run(**arguments: Any) -> Any:
        return tool.invoke(arguments)

    return arun if own or getattr(tool, "coroutine", None) is not None else run


class HearthTool(BaseTool):
    """One of our tools as LangChain's, with its validation, timeout and bounded result, and without any policy."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    hearth: Any

    def _run(self, /, **arguments: Any) -> str:
        return run_sync(self._arun(**arguments))

    async def _arun(self, /, **arguments: Any) -> str:
        try:
            validated = self.hearth.validate(arguments)
        except (ValueError, TypeError, RecursionError) as error:
            raise ToolException(f"The arguments are not valid: {error}") from error
        try:
            return await carried_out(self.hearth, validated)
        except TimeoutError as error:
            raise ToolException(str(error)) from error


def to_langchain(tool: Tool) -> HearthTool:
    """Our tool for LangChain. Arguments that are not valid, and a time that is up, are told to the model.

    The effect stands in `metadata["effect"]`, and nothing there heeds it: see `exported.guarded`.
    """
    return HearthTool(
        name=tool.name,
        description=tool.description,
        args_schema=dict(tool.parameters),
        handle_tool_error=True,
        metadata={"effect": tool.effect},
        hearth=tool,
    )
