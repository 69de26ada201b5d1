"""JSON schemas that a decoder can be held to: what pydantic writes, without what no token mask follows.

What is taken out of a schema stays a rule of the validator (`arguments.py`), and is told in the description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
    if node.keys() & {"pattern", "format"} and (lengths := node.keys() & {"minLength", "maxLength"}):
        least, most = node.get("minLength", 0), node.get("maxLength")
        for key in lengths:
            del node[key]
        _tell(node, f"{least} to {most} characters." if most is not None else f"At least {least} characters.")


def _tell(node: Any, rule: str) -> None:
    node["description"] = f"{node.get('description', '')} {rule}".strip()
