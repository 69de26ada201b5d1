"""JSON as lines "path: value", so that each says what it is about; texts are whole, numbers as they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rag.errors import DamagedDocument
from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.text import decode

DEEPEST = 100
SHORT = 80
"""Items of a list stand in one line when each is no longer than this."""
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_PLAIN_KEY = re.compile(r"[\w -]+")


def parse(data: bytes) -> Parsed:
    """The value as lines; the items of a list of objects, and the members of the outermost object, as blocks.

    Raises:
        DamagedDocument: it is no JSON, or is nested more than DEEPEST levels deep.
        DocumentLimit: its paths and values would be too long.
    """
    value = read(decode(data))
    named = value.get("title", value.get("name")) if isinstance(value, dict) else None
    text = "\n\n".join(block for block in _blocks(value, Budget()) if block) + "\n"
    return Parsed((text,), named if isinstance(named, str) else "")


def read(text: str) -> Any:
    """The value of a JSON text, its numbers as texts; raises DamagedDocument."""
    depth = deepest = 0
    for match in _STRUCTURE.finditer(text):
        mark = match.group()[0]
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise DamagedDocument("loading", f"it is nested more than {DEEPEST} levels deep", "Flatten it")
    try:
        return json.loads(text.lstrip("\ufeff"), parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        cause = f"line {error.lineno} is no JSON: {error.msg} (column {error.colno})"
        raise DamagedDocument("loading", cause, "Correct it") from error


def _blocks(value: Any, budget: Budget) -> Iterator[str]:
    if isinstance(value, list) and not _is_short(value):
        for number, item in enumerate(value):
            yield block_of(item, f"[{number}]", budget)
        return
    if not isinstance(value, dict):
        yield block_of(value, "", budget)
        return
    simple: list[str] = []
    for key, item in value.items():
        block = block_of(item, _joined("", key), budget)
        if "\n" not in block:
            simple.append(block)
            continue
        yield "\n".join(simple)
        simple = []
        yield block
    yield "\n".join(simple)


def block_of(value: Any, path: str, budget: Budget) -> str:
    """A value as lines without blank ones between, each with its path."""
    return "\n".join(_lines(value, path, budget))


def _lines(value: Any, path: str, budget: Budget) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _lines(item, _joined(path, key), budget)
    elif isinstance(value, list) and value and not _is_short(value):
        for number, item in enumerate(value):
            yield from _lines(item, f"{path}[{number}]", budget)
    else:
        text = ", ".join(map(_word, value)) if isinstance(value, list) else _word(value)
        line = f"{path}: {text}".rstrip() if path else text
        budget.spend(len(line) + 1)
        yield line


def _joined(path: str, key: str) -> str:
    step = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{path}.{step}" if path else step


def _is_short(value: list[Any]) -> bool:
    """Whether it holds nothing but short words, so that it can stand in one line."""
    return all(not isinstance(item, (dict, list)) and len(_word(item)) <= SHORT for item in value)


def _word(value: Any) -> str:
    """A value that holds no other."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    return ""  # an empty object
