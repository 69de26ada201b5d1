"""JSON schemas for constraints: read from classes, checked, and joined into the schema of a tool call.

Knows nothing of decoding.
"""

from __future__ import annotations

import importlib
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from decoder.errors import ConstraintRefused, MissingExtra
from decoder.types import Tool

STEP = "building a constraint"
JSON_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def _refused(cause: str, remedy: str = "") -> ConstraintRefused:
    return ConstraintRefused(STEP, cause, remedy)


def schema_of(cls: type) -> dict[str, Any]:
    """The JSON schema of a pydantic model, dataclass or TypedDict. Raises ConstraintRefused, MissingExtra."""
    own_schema = getattr(cls, "model_json_schema", None)
    if callable(own_schema):
        return dict(own_schema())
    try:
        pydantic = importlib.import_module("pydantic")
    except ImportError as error:
        raise MissingExtra(STEP, "pydantic", "rag") from error
    try:
        return dict(pydantic.TypeAdapter(readable(cls)).json_schema())
    except pydantic.errors.PydanticUserError as error:
        raise _refused(f"no JSON schema of {getattr(cls, '__name__', cls)}: {str(error).splitlines()[0]}") from error


def readable(hint: Any) -> Any:
    """A hint with every TypedDict in it as pydantic accepts it: before 3.12 only those of typing_extensions."""
    return _readable(hint, {})


def _readable(hint: Any, known: dict[Any, Any]) -> Any:
    if typing.is_typeddict(hint):
        return known[hint] if hint in known else _typed_dict(hint, known)
    arguments = typing.get_args(hint)
    if not arguments or typing.get_origin(hint) is typing.Literal:
        return hint
    made = tuple(_readable(each, known) for each in arguments)
    if made == arguments:
        return hint
    if isinstance(hint, types.UnionType):
        return typing.Union[made]  # noqa: UP007  # made here, not written
    if isinstance(hint, types.GenericAlias):
        return types.GenericAlias(typing.cast(type, hint.__origin__), made)
    return hint.copy_with(made[:1]) if typing.get_origin(hint) is typing.Annotated else hint.copy_with(made)


def _typed_dict(cls: Any, known: dict[Any, Any]) -> Any:
    """The same TypedDict by typing_extensions. It is known before its fields are, which may be of it again."""
    extensions = importlib.import_module("typing_extensions")
    made = known[cls] = extensions.TypedDict(cls.__name__, {})
    fields = {}
    for key, hint in typing.get_type_hints(cls, include_extras=True).items():
        marked = typing.get_origin(hint) in (typing.Required, typing.NotRequired)
        inner = typing.get_args(hint)[0] if marked else hint
        needed = typing.get_origin(hint) is typing.Required if marked else key in cls.__required_keys__
        fields[key] = (extensions.Required if needed else extensions.NotRequired)[_readable(inner, known)]
    made.__annotations__ = fields
    made.__required_keys__ = frozenset(k for k, v in fields.items() if typing.get_origin(v) is extensions.Required)
    made.__optional_keys__ = frozenset(fields) - made.__required_keys__
    made.__doc__ = cls.__doc__
    return made


def as_mapping(schema: object) -> Mapping[str, Any]:
    """The schema of a "json" constraint, parsed when it is text. Raises ConstraintRefused when it is no object."""
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise _refused(f"the JSON schema is not JSON ({error})") from error
    if not isinstance(schema, Mapping):
        raise _refused("the JSON schema is not a mapping", "Give an object such as {'type': 'object', …}")
    return schema


def check_schema(value: object) -> None:
    """Raise ConstraintRefused when the schema is malformed or refers to what it does not hold."""
    schema = as_mapping(value)
    try:
        plain = json.loads(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(f"the JSON schema cannot be written as JSON ({error})") from error
    for node in subschemas(plain):
        _check_node(node, plain)


def _check_node(node: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    kinds = node.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [str(kinds)]:
        if not isinstance(kind, str) or kind not in JSON_TYPES:
            raise _refused(f"the JSON schema has the unknown type {kind!r}", f"Types: {', '.join(sorted(JSON_TYPES))}")
    for key, wanted in (("properties", dict), ("required", list), ("enum", list), ("anyOf", list), ("$defs", dict)):
        if key in node and not isinstance(node[key], wanted):
            raise _refused(f"{key} of the JSON schema is not {'an object' if wanted is dict else 'a list'}")
    if "$ref" in node and not _resolves(node["$ref"], root):
        raise _refused(f"the JSON schema refers to {node['$ref']!r}, which it does not hold", "Put it under $defs")


def _resolves(reference: object, root: Any) -> bool:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    for step in reference[1:].strip("/").split("/") if len(reference) > 1 else ():
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(root, list) and key.isdigit() and int(key) < len(root):
            root = root[int(key)]
        elif isinstance(root, Mapping) and key in root:
            root = root[key]
        else:
            return False
    return True


def subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """`schema` and every schema inside it; what stands under `enum`, `const`, `default` or `examples` is data."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
            children: Iterable[Any] = value.values() if isinstance(value, Mapping) else ()
        elif key in ("enum", "const", "default", "examples", "required"):
            children = ()
        else:
            children = value if isinstance(value, list) else (value,)
        for child in children:
            yield from subschemas(child)


def call_schema(tool: Tool, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a call of `tool`; what its parameters define is moved into `definitions` as tool.name."""
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    moved = {
        f"#/{key}/{name}": f"{tool.name}.{name}" for key in ("$defs", "definitions") for name in parameters.get(key, {})
    }
    for key in ("$defs", "definitions"):
        for name, definition in parameters.pop(key, {}).items():
            definitions[f"{tool.name}.{name}"] = _rewrite(definition, moved)
    properties = {"name": {"const": tool.name}, "arguments": _rewrite(parameters, moved)}
    required = ["name", "arguments"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _rewrite(node: Any, moved: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        new = {key: _rewrite(value, moved) for key, value in node.items()}
        if isinstance(reference, str) and reference in moved:
            new["$ref"] = f"#/$defs/{moved[reference]}"
        return new
    return [_rewrite(item, moved) for item in node] if isinstance(node, list) else node
