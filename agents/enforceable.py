"""Spells a tool's schema so that a token mask can hold to all of it.

What grammar engines read past is left to the validator that every call goes through before its tool; otherwise a
schema with one such keyword could not be used at all (pydantic writes `uniqueItems` for every set).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decoder.masking import UNENFORCED

_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_DATA = frozenset({"enum", "const", "default", "examples", "required"})


def enforceable(schema: Any) -> Any:
    """The same schema without what is not enforced, and with every required property declared.

    xgrammar 0.2.8, which vLLM uses too, writes `{}` for `{"type": "object", "required": ["a"]}`, since no property
    is called `a`. Values that satisfy `schema` satisfy the result.
    """
    if isinstance(schema, list):
        return [enforceable(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    spelled: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            spelled[key] = {name: enforceable(each) for name, each in value.items()}
        elif key in _DATA:
            spelled[key] = value
        elif key not in UNENFORCED:
            spelled[key] = enforceable(value)
    return _declared(_bounded(spelled))


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """Lengths are not counted beside a pattern, and multiples only among integers."""
    dropped = {"minLength", "maxLength"} if schema.keys() & {"pattern", "format"} else set()
    if schema.get("type") != "integer":
        dropped.add("multipleOf")
    return {key: value for key, value in schema.items() if key not in dropped}


def _declared(schema: dict[str, Any]) -> dict[str, Any]:
    required, others = schema.get("required"), schema.get("additionalProperties", True)
    if not isinstance(required, list) or others is False:
        return schema
    properties = schema.get("properties") or {}
    missing = {name: others if isinstance(others, Mapping) else {} for name in required if name not in properties}
    return {**schema, "properties": {**properties, **missing}} if missing else schema
