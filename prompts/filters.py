"""The filters of templates: each makes text or a list of what it is given, and no more than the bounds allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prompts.budget import MOST_CHARACTERS
from prompts.errors import TooMuchText
from prompts.variables import STEP, mark


def filters() -> dict[str, Callable[..., Any]]:
    """By the names that templates know them by."""
    from jinja2.filters import do_default

    return {
        "untrusted": mark,
        "join": _join,
        "indent": _indent,
        "bullets": _bullets,
        "numbered": _numbered,
        "tojson": _tojson,
        "items": lambda value: list(value.items()),
        "default": do_default,
        "length": len,
        "first": lambda value: value[0] if value else "",
        "last": lambda value: value[-1] if value else "",
        "lower": lambda value: str(value).lower(),
        "upper": lambda value: str(value).upper(),
        "capitalize": lambda value: str(value).capitalize(),
        "trim": lambda value: str(value).strip(),
        "string": str,
        "list": list,
        "sort": sorted,
        "round": lambda value, digits=0: round(value, max(0, min(int(digits), 15))),
    }


def _join(value: Any, separator: str = "") -> str:
    items = [str(item) for item in value]
    if len(separator) * len(items) > MOST_CHARACTERS:
        raise TooMuchText(STEP, f"join makes more than {MOST_CHARACTERS} characters", "Give shorter values")
    return separator.join(items)


def _indent(value: str, width: int = 4) -> str:
    """Every line but the first moved right, by at most 16 columns."""
    space = " " * max(0, min(int(width), 16))
    return str(value).replace("\n", f"\n{space}")


def _bullets(value: Iterable[Any]) -> str:
    return "\n".join(f"- {_indent(str(item), 2)}" for item in value)


def _numbered(value: Iterable[Any]) -> str:
    return "\n".join(f"{number}. {_indent(str(item), 3)}" for number, item in enumerate(value, 1))


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON for a reader, not for HTML: `<` stays `<`."""
    import json

    return json.dumps(value, ensure_ascii=False, indent=None if indent is None else max(0, min(int(indent), 8)))
