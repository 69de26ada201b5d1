"""A JSON schema validator whose patterns cannot hang: Rust's regular expressions, linear in the text, not Python's.

A pattern such as `^(a+)+$` takes Python's engine a time that doubles with each character, and no thread runs meanwhile.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from agents.errors import SchemaError
from decoder.schema import subschemas

STEP = "reading a tool's schema"


def with_linear_patterns(kind: Any) -> Any:
    """The class of validators `kind`, its patterns by the linear engine.

    Text under a `pattern` that this engine does not know (look-around, back references) is not checked for it.
    """
    checks = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    return importlib.import_module("jsonschema").validators.extend(kind, checks)


def check_patterns(schema: Mapping[str, Any]) -> None:
    """Raise SchemaError for names by a pattern that the engine does not know, or that are needed in a check of its own.

    The validator matches names itself, with Python's engine, for `unevaluatedProperties`.
    """
    written = json.dumps(schema)
    if '"patternProperties"' in written and '"unevaluatedProperties"' in written:
        raise SchemaError(STEP, "it has unevaluatedProperties beside patternProperties", "Use additionalProperties")
    for node in subschemas(schema):
        named = node.get("patternProperties")
        for pattern in named if isinstance(named, Mapping) else ():
            if _finder(pattern) is None:
                cause = f"patternProperties has {pattern[:80]!r}, which cannot be matched in linear time"
                raise SchemaError(STEP, cause, "Leave out look-around and back references")


@lru_cache(maxsize=256)
def _finder(pattern: str) -> Callable[[str], bool] | None:
    """Whether the pattern is found in a text; None for one that the engine does not know."""
    core = importlib.import_module("pydantic_core")
    wanted = core.core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    try:
        validator = core.SchemaValidator(wanted)
    except core.SchemaError:
        return None

    def found(text: str) -> bool:
        return bool(validator.isinstance_python(text))

    return found


def _pattern(validator: Any, wanted: str, value: Any, _: Any) -> Iterator[Any]:
    found = _finder(wanted)
    if validator.is_type(value, "string") and found is not None and not found(value):
        yield _wrong(f"{value!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Mapping[str, Any], value: Any, _: Any) -> Iterator[Any]:
    for pattern, schema in wanted.items() if validator.is_type(value, "object") else ():
        for name in filter(_finder(pattern), value):
            yield from validator.descend(value[name], schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not validator.is_type(value, "object"):
        return
    finders = [_finder(pattern) for pattern in schema.get("patternProperties", {})]
    known = schema.get("properties", {})
    extras = [name for name in value if name not in known and not any(f is None or f(name) for f in finders)]
    if validator.is_type(wanted, "object"):
        for name in extras:
            yield from validator.descend(value[name], wanted, path=name)
    elif not wanted and extras:
        yield _wrong(f"Additional properties are not allowed ({', '.join(map(repr, extras))})")


def _wrong(message: str) -> Any:
    return importlib.import_module("jsonschema").ValidationError(message)
