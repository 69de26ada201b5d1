"""Reads a docstring of Google, NumPy or Sphinx style: what a function does, and what each parameter means."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from decoder.errors import MissingExtra


@dataclass(frozen=True, slots=True)
class Described:
    """What a docstring says.

    Attributes:
        text: what the function does and, after "Returns:", what it gives.
        parameters: what each parameter means, by name.
    """

    text: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_docstring(docstring: str | None) -> Described:
    """Read any docstring; one of no known style is all text. Raises MissingExtra alone."""
    clean = inspect.cleandoc(docstring or "")
    if not clean:
        return Described()
    try:
        from docstring_parser import ParseError, parse
    except ImportError as error:
        raise MissingExtra("reading a docstring", "docstring-parser", "agents") from error
    try:
        parsed = parse(clean)
    except (ParseError, ValueError, IndexError, KeyError, AttributeError):  # a section that is not what it looks like
        return Described(clean)
    text = "\n\n".join(part.strip() for part in (parsed.short_description, parsed.long_description) if part)
    gives = _line(parsed.returns.description) if parsed.returns else ""
    parts = [text, f"Returns: {gives}" if gives else ""]
    return Described("\n\n".join(part for part in parts if part), _parameters(parsed.params))


def _parameters(described: Sequence[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in described:
        names, text = getattr(each, "arg_name", ""), _line(getattr(each, "description", None))
        for name in str(names).split(","):  # NumPy describes several at once: "x, y : int"
            if text:
                found.setdefault(name.strip().lstrip("*"), text)
    return found


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
