"""What a model wrote, as the value that a schema describes. Strict, or tolerant of prose and fences around it.

Tolerance is about where the JSON stands, never about what it is: nothing is guessed, closed or filled in.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from decoder.errors import MissingExtra

STEP = "reading the output"
MOST_STARTS = 64
_FENCE = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"^.*?</think>", re.DOTALL)
_START = re.compile(r"[{\[]")


class Unreadable(Exception):
    """The text is not what the schema asks for; the message says why, in words that a model can mend it by."""


@dataclass(frozen=True, slots=True)
class Form:
    """What an output has to be.

    Attributes:
        output: the class to make of it; None leaves it plain.
        aside: a field that the schema has and the class has not; empty for none.
    """

    schema: Mapping[str, Any]
    output: Any = None
    aside: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """An output that was read, from `piece` of the text; `aside` holds the field that is no part of the value."""

    value: Any
    aside: Any
    piece: str


def read(text: str, form: Form) -> Read:
    """The output of a text that is JSON and nothing else.

    Raises:
        Unreadable: it is no JSON, breaks the schema, or the class refuses it.
        MissingExtra: pydantic is not installed, which makes instances.
    """
    value, aside = _parsed(text), None
    _validate(value, form.schema)
    if form.aside and isinstance(value, dict):
        aside = value.get(form.aside)
        value = {key: item for key, item in value.items() if key != form.aside}
    return Read(value if form.output is None else _instance(value, form.output), aside, text)


def read_tolerantly(text: str, form: Form) -> Read:
    """The output of the first piece of a text that can be read. Raises as `read`, for the piece that came nearest."""
    reason = "there is no JSON in it"
    for piece in pieces(text):
        try:
            return read(piece, form)
        except Unreadable as error:
            reason = str(error)
    raise Unreadable(reason)


def pieces(text: str) -> Iterator[str]:
    """Where JSON may stand in a text: all of it, what code fences hold, and from each bracket on."""
    said = _THOUGHT.sub("", text).strip()
    yield said
    yield from (match.group(1).strip() for match in _FENCE.finditer(said))
    decoder, end = json.JSONDecoder(), 0
    for count, start in enumerate(_START.finditer(said)):
        if count == MOST_STARTS:
            return
        if start.start() < end:
            continue  # inside what was found already
        try:
            _, end = decoder.raw_decode(said, start.start())
        except (ValueError, RecursionError):
            continue
        yield said[start.start() : end]


def _parsed(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON value")

    try:
        value = json.loads(text, strict=False, parse_constant=refuse)
        if "\\ud" in text.lower():  # half a character, which the grammar of JSON allows and no text can hold
            whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
            value = json.loads(whole.decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from error
    return value


def _validate(value: Any, schema: Mapping[str, Any]) -> None:
    validator = importlib.import_module("jsonschema").Draft202012Validator(json.loads(json.dumps(schema)))
    error = importlib.import_module("jsonschema.exceptions").best_match(validator.iter_errors(value))
    if error is not None:
        where = "".join(f"[{step!r}]" for step in error.absolute_path) or "the whole"
        raise Unreadable(f"{where} breaks the schema: {' '.join(error.message.split())[:300]}")


def _instance(value: Any, output: Any) -> Any:
    try:
        import pydantic
    except ImportError as error:
        raise MissingExtra(STEP, "pydantic", "rag") from error
    from decoder.schema import readable

    try:
        return pydantic.TypeAdapter(readable(output)).validate_json(json.dumps(value))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"[{step!r}]" for step in first["loc"]) or "the whole"
        raise Unreadable(f"{where} is refused: {' '.join(str(first['msg']).split())[:300]}") from error
