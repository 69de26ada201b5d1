"""The language of actions: which JSON a decoder may write to act, built from the schemas of the tools.

An action is `{"name": …, "arguments": {…}}`, or a list of such where calls may run side by side; `final_answer` is one
of the names. Compiling is the decoder's own and cached there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.events import Call
from agents.tool import FINAL_ANSWER, Tool
from decoder import types
from decoder.constraint import json_schema, tool_call
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
    """What an action may be: exactly one call of one of `tools` or `answer`; with `several`, a list of calls.

    Raises ConstraintRefused when two tools share a name or a schema is malformed.
    """
    one = tool_call([*(tool.spec for tool in tools), answer])
    if not several:
        return one
    # Not titled as one call: a decoder would read it as such.
    schema = {key: value for key, value in dict(one.value).items() if key not in ("$defs", "title")}  # type: ignore[arg-type]
    listed: dict[str, Any] = {"type": "array", "items": schema, "minItems": 1}
    definitions = one.value.get("$defs")  # type: ignore[union-attr]
    return json_schema(listed if definitions is None else {**listed, "$defs": definitions})


def read_action(text: str, calls: Sequence[types.ToolCall], next_id: str) -> tuple[Call, ...]:
    """The calls of a constrained action. Raises ValueError with what is wrong, which a constraint rules out.

    Args:
        text, calls: the decoder's choice; some decoders read a constrained call themselves.
        next_id: the ids are this and a number.
    """
    if calls:
        wanted: list[Any] = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]
    else:
        value = json.loads(text)
        wanted = value if isinstance(value, list) else [value]
    return tuple(_call(each, f"{next_id}{number}") for number, each in enumerate(wanted))


def _call(value: Any, call_id: str) -> Call:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError("an action is an object with a name and arguments")
    arguments = value.get("arguments")
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are no object")
    return Call(call_id, value["name"], arguments)
