"""A prompt's variables as a form gives them: text boxes, numbers and ticks, turned into values by type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from decoder.errors import UsageError
from prompts.variables import REQUIRED, Variable

STEP = "reading values"
AS_JSON = frozenset({"array", "object", "messages", "examples"})
_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "string": str,
    "boolean": lambda text: {"true": True, "false": False}[text],
}


def written(variable: Variable) -> str:
    """What a field holds at first: the value to try it with, else its default, as one would write it."""
    value = variable.example if variable.example is not REQUIRED else variable.default
    if value is REQUIRED or value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)


def value_of(variable: Variable, text: str) -> Any:
    """What was written, by the variable's type. Raises UsageError."""
    if variable.type == "untrusted":
        return _untrusted(text)
    try:
        return json.loads(text) if variable.type in AS_JSON else _READ[variable.type](text)
    except (ValueError, KeyError, RecursionError) as error:
        how = "JSON" if variable.type in AS_JSON else f"a value of type {variable.type}"
        raise UsageError(STEP, f"{variable.name} is no {how}", "Mend it, or put the example back") from error


def _untrusted(text: str) -> Any:
    """JSON of texts and labels where it is that, else one text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    fits = isinstance(found, list) and all(isinstance(each, str | dict) for each in found)
    return found if fits else text
