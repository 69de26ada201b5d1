"""The schema of a tool as a server that nobody vouches for wrote it, so that it may stand in a prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agents.errors import SchemaError
from decoder.schema import subschemas
from prompts.untrusted import defuse

STEP = "reading a tool's schema"
LONGEST_SCHEMA = 20_000
LONGEST_PROSE = 500


def cleaned_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema; what it says in prose is defused and at most 500 characters each, remarks and examples are gone.

    Names, constants and enumerated values stay as they are, since the server expects them so.

    Raises SchemaError for one of more than 20,000 characters as JSON.
    """
    written = json.dumps(schema, ensure_ascii=False)
    if len(written) > LONGEST_SCHEMA:
        cause = f"its schema has {len(written):,} characters, and {LONGEST_SCHEMA:,} are the most"
        raise SchemaError(STEP, cause, "Offer a simpler tool, or vouch for the server")
    copy: dict[str, Any] = json.loads(written)
    for node in subschemas(copy):
        _clean(node)
    return copy


def _clean(node: Any) -> None:
    """Change one schema in place."""
    for key in ("$comment", "examples"):
        node.pop(key, None)
    for key in ("title", "description"):
        if key in node:
            node[key] = one_line(str(node[key]))[:LONGEST_PROSE]


def one_line(text: str) -> str:
    """Prose without line breaks and without what looks like structure."""
    return " ".join(defuse(text).split())
