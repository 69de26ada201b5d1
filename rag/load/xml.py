"""XML as an indented list of elements with their attributes and texts; a document type, so every entity, is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.safe_xml import local, parse_xml
from rag.load.text import MARKS, decode

_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_DECLARED = re.compile(
    rb"""\s*<\?xml[^>]*\sencoding\s*=\s*["']((?:iso|windows|cp|koi8|euc|big5|gb|shift_jis|mac)[\w.-]{0,20})["']""",
    re.ASCII | re.IGNORECASE,
)
"""Declared encodings that `decode` might guess otherwise; Unicode it tells by itself."""
_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}"


def parse(data: bytes) -> Parsed:
    """One line an element: "- name (attribute=value): text", those within it below; mixed text is one line.

    Raises:
        DamagedDocument: it is no XML, or declares a document type.
    """
    root = parse_xml(_text(data).encode("utf-8", "surrogatepass"))
    budget = Budget()
    lines = []
    for line in _lines(root, 0):
        budget.spend(len(line) + 1)
        lines.append(line)
    title = root.find(".//{*}title")
    return Parsed(("\n".join(lines) + "\n",), "" if title is None else "".join(title.itertext()))


def _text(data: bytes) -> str:
    """The text without its declaration, so that every later reader sees the same characters."""
    declared = None if any(data.startswith(mark) for mark, _ in MARKS) else _DECLARED.match(data[:200])
    try:
        text = data.decode(declared.group(1).decode()) if declared else decode(data)
    except (LookupError, UnicodeDecodeError):
        text = decode(data)  # it says what it is not: the likeliest encoding counts
    return _DECLARATION.sub("", text.lstrip("\ufeff"), count=1).lstrip()


def _lines(element: Any, depth: int) -> Iterator[str]:
    attributes = ", ".join(
        f"{name.rpartition('}')[2]}={value}" for name, value in element.attrib.items() if not name.startswith(_SCHEMA)
    )
    mixed = _is_mixed(element)
    text = " ".join("".join(element.itertext() if mixed else (element.text or "",)).split())
    name = f"{local(element)} ({attributes})" if attributes else local(element)
    if text or attributes or len(element):
        yield f"{'  ' * depth}- {name}: {text}" if text else f"{'  ' * depth}- {name}"
    if not mixed:
        for child in element:
            yield from _lines(child, depth + 1)


def _is_mixed(element: Any) -> bool:
    """Whether words stand between its elements, as in a paragraph."""
    if not len(element):
        return False
    return bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)
