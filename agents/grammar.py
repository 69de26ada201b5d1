"""The language of actions: which JSON a decoder may write to act, built from the schemas of the tools.

An action is `{"name": …, "arguments": {…}}`, or a list of such where calls may run side by side; `final_answer` is one
of the names. Compiling is the decoder's own and cached there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.enforceable import enforceable
from agents.events import Call
from agents.tool import FINAL_ANSWER, Tool
from decoder import types
from decoder.constraint import json_schema, tool_call
from decoder.schema import call_schema
from decoder.types import Constraint

ANSWER_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def final_answer(schema: Mapping[str, Any] | None = None) -> types.Tool:
    """The tool that ends a run. `schema` is that of the answer object; by default it is one string, `answer`."""
    return types.Tool(FINAL_ANSWER, "End the work with the answer to the task.", schema or ANSWER_SCHEMA)


def action_constraint(tools: Sequence[Tool], answer: types.Tool, several: bool = False) -> Constraint:
    """What an action may be: exactly one call of one of `tools` or `answer`.

    With `several` it is a list: of one or more calls of `tools`, or of the answer alone, which so cannot claim what
    calls beside it have yet to do. Raises ConstraintRefused when two tools share a name or a schema is malformed.
    """
    offered = [_spelled(tool.spec) for tool in tools]
    one = tool_call([*offered, _spelled(answer)])
    if not several:
        return one
    definitions: dict[str, Any] = {}
    calls = [call_schema(each, definitions) for each in offered]
    alone = {"type": "array", "items": call_schema(_spelled(answer), definitions), "minItems": 1, "maxItems": 1}
    schema: dict[str, Any] = alone
    if calls:
        schema = {"anyOf": [{"type": "array", "items": {"anyOf": calls}, "minItems": 1}, alone]}
    return json_schema({**schema, "$defs": definitions} if definitions else schema)


def _spelled(tool: types.Tool) -> types.Tool:
    return types.Tool(tool.name, tool.description, enforceable(tool.parameters))


def read_action(text: str, calls: Sequence[types.ToolCall], ids: Callable[[int], Sequence[str]]) -> tuple[Call, ...]:
    """The calls of a constrained action. Raises ValueError with what is wrong, which a constraint rules out.

    Args:
        text, calls: the decoder's choice; some decoders read a constrained call themselves.
        ids: an id for each of so many calls.
    """
    if calls:
        wanted: list[Any] = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]
    else:
        value = json.loads(text, strict=False)  # xgrammar leaves control characters in strings of limited length
        wanted = value if isinstance(value, list) else [value]
    return tuple(_call(each, call_id) for each, call_id in zip(wanted, ids(len(wanted)), strict=True))


def _call(value: Any, call_id: str) -> Call:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError("an action is an object with a name and arguments")
    arguments = value.get("arguments")
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are no object")
    return Call(call_id, value["name"], arguments)
