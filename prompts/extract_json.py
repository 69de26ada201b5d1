"""The JSON in an output, or one field of it, with one spelling for equal values."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from prompts.extract_found import Found, Seek
from prompts.reading import pieces


def json_value(option: str) -> Seek:
    """The last object or list; with `a.b.0` as option, the value at this path in it."""
    path = tuple(option.split(".")) if option else ()
    seek = partial(_last, path)
    return Seek(seek, seek, partial(_alone, path), places=False)


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces, and 3.0 written as 3."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _last(path: tuple[str, ...], text: str) -> Found | None:
    """The whole text, else the last that stands in a code fence, else the last; one without the path is passed over."""
    read = [(value, piece) for piece in pieces(text) if isinstance(value := _value(piece), (dict, list))]
    fenced = [pair for pair in read if f"\n{pair[1]}\n```" in text]
    for value, piece in (*reversed(fenced), *reversed(read)):
        found, there = _at(value, path)
        if there:
            return Found(canonical(found), piece)
    return None


def _value(piece: str) -> Any:
    try:
        return json.loads(piece, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _alone(path: tuple[str, ...], answer: str) -> Found | None:
    """Any JSON value; an answer to a path is what stands there, not what holds it."""
    try:
        value = json.loads(answer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Found(canonical(answer), answer) if path else None
    return Found(canonical(value), answer)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _at(value: Any, path: tuple[str, ...]) -> tuple[Any, bool]:
    for name in path:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None, False
    return value, True
