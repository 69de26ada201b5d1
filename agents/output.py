"""The type of an agent's answer: its schema for the decoder, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from decoder.schema import as_mapping, schema_of

Output = type | Mapping[str, Any] | None


def answer_schema(output: Output) -> dict[str, Any] | None:
    """The JSON schema of the answer's arguments; None for plain text.

    A type whose schema is no object is wrapped as `{"answer": …}`, since arguments are an object.
    """
    if output is None:
        return None
    schema = dict(as_mapping(output)) if isinstance(output, Mapping) else schema_of(output)
    return schema if schema.get("type") == "object" else _wrapped(schema)


def answer_reader(output: Output) -> Callable[[Mapping[str, Any]], Any]:
    """Reads the arguments of `final_answer`: to text, to an instance of the class, or to JSON data of the schema.

    The reader raises ValueError when a rule of the class does not hold that its schema cannot say.
    """
    if output is None:
        return lambda arguments: _text(arguments)
    schema = answer_schema(output) or {}
    if isinstance(output, Mapping):
        return _schema_reader(schema, wrapped=dict(as_mapping(output)).get("type") != "object")
    return _class_reader(output, wrapped=set(schema.get("properties", {})) == {"answer"} and not _is_object(output))


def _text(arguments: Mapping[str, Any]) -> str:
    answer = arguments.get("answer")
    if not isinstance(answer, str):
        raise ValueError('final_answer takes {"answer": "text"}')
    return answer


def _schema_reader(schema: Mapping[str, Any], wrapped: bool) -> Callable[[Mapping[str, Any]], Any]:
    def read(arguments: Mapping[str, Any]) -> Any:
        from importlib import import_module

        jsonschema: Any = import_module("jsonschema")  # untyped
        value = dict(arguments)
        if wrong := jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value)):
            raise ValueError(wrong.message)
        return value["answer"] if wrapped else value

    return read


def _class_reader(output: type, wrapped: bool) -> Callable[[Mapping[str, Any]], Any]:
    def read(arguments: Mapping[str, Any]) -> Any:
        import json

        from pydantic import TypeAdapter

        from decoder.schema import readable

        if wrapped and arguments.keys() != {"answer"}:
            raise ValueError('final_answer takes {"answer": …}')
        value = arguments["answer"] if wrapped else arguments
        # As JSON, so that a strict model takes a list for its tuple, and text for its date.
        return TypeAdapter(readable(output)).validate_json(json.dumps(value))

    return read


def _is_object(output: type) -> bool:
    return schema_of(output).get("type") == "object"


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs", None)
    whole: dict[str, Any] = {
        "type": "object",
        "properties": {"answer": schema},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return whole if definitions is None else {**whole, "$defs": definitions}
