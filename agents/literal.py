"""Reads a value as decoders write it when nothing holds them to JSON: JSON, with some liberties of Python's.

Beside JSON: a comma after the last item, strings in single quotes, `\\'`, line breaks in strings, True, False and None.
All else is an error, so nothing is read in one way that could be meant in another. Linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DEEPEST = 64
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?(?![\w.])", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\\n]*")}
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Mapping[str, Any] = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}


class Malformed(ValueError):
    """No value stands there; the message says what is wrong, for the decoder."""


def skip(text: str, at: int) -> int:
    """The first position from `at` on that is not white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def read_value(text: str, at: int, depth: int = 0) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends. Raises Malformed."""
    if depth > DEEPEST:
        raise Malformed(f"it is nested deeper than {DEEPEST} levels")
    first = text[at : at + 1]
    if first == "{":
        return _object(text, at, depth)
    if first == "[":
        return _array(text, at, depth)
    if first in ('"', "'") and first:
        return _string(text, at)
    if found := _NUMBER.match(text, at):
        return _number(found), found.end()
    word = _WORD.match(text, at)
    if word and word.group() in _WORDS:
        return _WORDS[word.group()], word.end()
    raise Malformed(f"no value can be read at {_here(text, at)}")


def read_keywords(text: str, at: int) -> tuple[dict[str, Any], int]:
    """`a=1, b="x")` after an opening bracket, and where it ends. Raises Malformed."""
    values: dict[str, Any] = {}
    at = skip(text, at)
    while text[at : at + 1] != ")":
        name = _WORD.match(text, at)
        equals = skip(text, name.end()) if name else at
        if name is None or text[equals : equals + 1] != "=":
            raise Malformed(f"name=value is expected at {_here(text, at)}")
        value, at = read_value(text, skip(text, equals + 1))
        _put(values, name.group(), value)
        at = _next(text, at, ")")
    return values, at + 1


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    at = skip(text, at + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] not in ('"', "'") or at >= len(text):
            raise Malformed(f"a key in quotes is expected at {_here(text, at)}")
        key, at = _string(text, at)
        at = skip(text, at)
        if text[at : at + 1] != ":":
            raise Malformed(f"a colon is expected at {_here(text, at)}")
        value, at = read_value(text, skip(text, at + 1), depth + 1)
        _put(values, key, value)
        at = _next(text, at, "}")
    return values, at + 1


def _array(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    at = skip(text, at + 1)
    while text[at : at + 1] != "]":
        value, at = read_value(text, at, depth + 1)
        values.append(value)
        at = _next(text, at, "]")
    return values, at + 1


def _next(text: str, at: int, end: str) -> int:
    """Past a comma, or at the end."""
    at = skip(text, at)
    if text[at : at + 1] == ",":
        return skip(text, at + 1)
    if text[at : at + 1] == end:
        return at
    raise Malformed(f"a comma or {end} is expected at {_here(text, at)}")


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    if key in values:
        raise Malformed(f"{key[:40]!r} is given twice")
    values[key] = value


def _number(found: re.Match[str]) -> int | float:
    if not (found.group(1) or found.group(2)):
        try:
            return int(found.group())
        except ValueError as error:  # thousands of digits
            raise Malformed("a number is too long") from error
    value = float(found.group())
    if value in (float("inf"), float("-inf")):
        raise Malformed("a number is too large")
    return value


def _string(text: str, at: int) -> tuple[str, int]:
    quote = text[at]
    pieces: list[str] = []
    begin = at
    at += 1
    while True:
        plain = _PLAIN[quote].match(text, at)
        assert plain is not None  # noqa: S101  # it matches the empty string too
        pieces.append(plain.group())
        at = plain.end()
        if text[at : at + 1] == quote:
            return "".join(pieces), at + 1
        if text[at : at + 1] != "\\":
            raise Malformed(f"a string is not closed: {_here(text, begin)}")
        piece, at = _escape(text, at + 1)
        pieces.append(piece)


def _escape(text: str, at: int) -> tuple[str, int]:
    letter = text[at : at + 1]
    if letter in _ESCAPES:
        return _ESCAPES[letter], at + 1
    if letter != "u":
        raise Malformed(f"\\{letter} is no escape; write \\\\ for a backslash")
    high = _unit(text, at + 1)
    if 0xD800 <= high < 0xDC00 and text[at + 5 : at + 7] == "\\u":
        low = _unit(text, at + 7)
        if 0xDC00 <= low < 0xE000:
            return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), at + 11
    return chr(high), at + 5


def _unit(text: str, at: int) -> int:
    found = _HEX.match(text, at)
    if found is None:
        raise Malformed("\\u takes four hexadecimal digits")
    return int(found.group(), 16)


def _here(text: str, at: int) -> str:
    return repr(text[at : at + 30]) if at < len(text) else "the end of the text"
