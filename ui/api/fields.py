"""Reading fields of a JSON object: each of the type it should have, or a refusal that names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ui.api.errors import bad

Fields = Mapping[str, Any]


def text(body: Fields, name: str, default: str | None = None) -> str:
    """A text; `default` when it is missing or null, and then it must not be None."""
    value = body.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise bad(name, "give a text")
    return value


def flag(body: Fields, name: str) -> bool:
    """A truth value; False when it is missing or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad(name, "give true or false")
    return bool(value)


def number(body: Fields, name: str) -> float | None:
    """A number, or None."""
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise bad(name, "give a number")
    return value


def integer(body: Fields, name: str) -> int | None:
    """A whole number, or None."""
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise bad(name, "give a whole number")
    return value


def items(body: Fields, name: str, most: int) -> list[Any]:
    """A list of at most `most` things; empty when it is missing or null."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad(name, "give a list")
    if len(value) > most:
        raise bad(name, f"give at most {most}")
    return value


def table(body: Fields, name: str) -> dict[str, Any]:
    """An object; empty when it is missing or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(name, "give an object")
    return value
