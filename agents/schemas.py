"""JSON schemas that a decoder can be held to: what pydantic writes, without what no token mask follows.

What is taken out of a schema stays a rule of the validator (`arguments.py`), and is told in the description.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from decoder.masking import UNENFORCED
from decoder.schema import subschemas

if TYPE_CHECKING:
    from pydantic import BaseModel

# Formats that a token mask follows; others are free text with a name.
FOLLOWED_FORMATS = frozenset({"date-time", "date", "time", "duration", "email", "uuid", "ipv4", "ipv6", "uri"})
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]*)$"


def arguments_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model's fields by alias: self-contained, closed, and followed by a mask in every part."""
    from pydantic.json_schema import GenerateJsonSchema

    class Writer(GenerateJsonSchema):
        def decimal_schema(self, schema: Any) -> dict[str, Any]:
            """A number: bounds of a text could not be followed. The validator takes text as well."""
            return self.float_schema(schema)

        def dict_schema(self, schema: Any) -> dict[str, Any]:
            written = super().dict_schema(schema)
            if schema.get("keys_schema", {}).get("type") == "int":
                written["propertyNames"] = {"pattern": WHOLE_NUMBER}
            return written

        def emit_warning(self, kind: Any, detail: str) -> None:
            """A default that is no JSON is left out of the schema; it is filled in all the same."""

    schema = model.model_json_schema(by_alias=True, schema_generator=Writer)
    for node in subschemas(schema):
        _tidy(node)
    schema.pop("description", None)
    return schema


def enforceable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that somebody else wrote, without what no token mask follows: check the arguments against the whole."""
    copy: dict[str, Any] = json.loads(json.dumps(schema))
    for node in subschemas(copy):
        _open_all_of(node)
        for key in UNENFORCED - {"uniqueItems"}:
            node.pop(key, None)  # type: ignore[attr-defined]  # a dict, as JSON is read
        _tidy(node)
    for key in ("$schema", "$id", "description"):
        copy.pop(key, None)
    copy.setdefault("type", "object")
    copy.setdefault("properties", {})
    return copy


def is_open(schema: Mapping[str, Any]) -> bool:
    """Whether an object with named properties somewhere takes others too."""
    return any(
        "properties" in node and node.get("additionalProperties") not in (None, False) for node in subschemas(schema)
    )


def _tidy(node: Any) -> None:
    """Change one schema in place."""
    node.pop("title", None)  # pydantic makes it from the name
    node.pop("discriminator", None)  # it points to definitions, and every branch says its own constant
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")
    if "properties" in node:
        node.setdefault("additionalProperties", False)
    if node.pop("uniqueItems", False):
        _tell(node, "No item twice.")
    if node.get("format", "") not in FOLLOWED_FORMATS and "pattern" not in node:
        node.pop("format", None)
    if isinstance(node.get("pattern"), str):
        node["pattern"] = whole_pattern(node["pattern"])
    if isinstance(node.get("patternProperties"), dict):
        node["patternProperties"] = {whole_pattern(key): value for key, value in node["patternProperties"].items()}
    if node.keys() & {"pattern", "format"} and (lengths := node.keys() & {"minLength", "maxLength"}):
        least, most = node.get("minLength", 0), node.get("maxLength")
        for key in lengths:
            del node[key]
        _tell(node, f"{least} to {most} characters." if most is not None else f"At least {least} characters.")


def whole_pattern(pattern: str) -> str:
    """A pattern that is found somewhere in a text, as one that matches the whole of it: masks know only these.

    One with alternatives beside anchors stays as it is: as a whole match it allows less, and nothing wrong.
    """
    anchored = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith(r"\$")
    if all(anchored) or (any(anchored) and "|" in pattern):
        return pattern
    inner = pattern.removeprefix("^")
    inner = inner[:-1] if anchored[1] else inner
    grouped = f"(?:{inner})" if "|" in inner else inner
    return f"^{'' if anchored[0] else '.*'}{grouped}{'' if anchored[1] else '.*'}$"


def _open_all_of(node: Any) -> None:
    """Several schemas that hold together, as one that holds what can be joined."""
    parts = node.get("allOf")
    if not isinstance(parts, list) or len(parts) < 2:
        return
    for part in node.pop("allOf"):
        for key, value in part.items() if isinstance(part, dict) else ():
            if key == "properties" and isinstance(value, dict):
                node["properties"] = {**node.get("properties", {}), **value}
            elif key == "required" and isinstance(value, list):
                node["required"] = list(dict.fromkeys([*node.get("required", []), *value]))
            elif key != "additionalProperties":
                node.setdefault(key, value)


def _tell(node: Any, rule: str) -> None:
    node["description"] = f"{node.get('description', '')} {rule}".strip()
