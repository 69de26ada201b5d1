"""Events as JSON objects and back: typed, strict, and the same event after the round trip.

Reading trusts nothing: an unknown kind, a missing or surplus field or a value of another type is a ValueError that
says where. Knows nothing of files.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeAlias

from agents import events
from agents.events import Event

Read: TypeAlias = Callable[[Any, str], Any]
KINDS: Mapping[str, type] = {kind.__name__: kind for kind in typing.get_args(Event)}
_SCALARS = {str: "text", int: "a whole number", bool: "true or false", float: "a number", types.NoneType: "null"}


def to_json(event: Event) -> dict[str, Any]:
    """The event's fields as JSON data. An answer that is an object of some class becomes the data that it holds."""
    return {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}


def from_json(kind: str, stored: Any) -> Event:
    """The event of a kind. Tuples and mappings inside arguments and answers come back as lists and dictionaries.

    Raises:
        ValueError: no event is called so, or the data are not one.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of event")
    return _dataclass(KINDS[kind])(stored, kind)  # type: ignore[no-any-return]  # of the kind that was asked for


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    if type(value) in KINDS.values():
        return {"kind": type(value).__name__, "event": to_json(value)}
    if dataclasses.is_dataclass(value) and type(value).__module__ in (events.__name__, "decoder.types"):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if type(value) in (tuple, list):
        return [_plain(item) for item in value]
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: _plain(item) for key, item in value.items()}
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=str, inf_nan_mode="constants")


@cache
def _dataclass(kind: type) -> Read:
    """A reader of one class: all of its fields and no others."""
    hints = typing.get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}

    def read(stored: Any, where: str) -> Any:
        if not isinstance(stored, dict):
            raise ValueError(f"{where} is no object")
        if odd := sorted(stored.keys() ^ readers.keys()):
            state = "is missing" if odd[0] in readers else "is unknown"
            raise ValueError(f"{where}.{odd[0][:40]} {state}")
        return kind(**{name: reader(stored[name], f"{where}.{name}") for name, reader in readers.items()})

    return read


def _reader(hint: Any) -> Read:
    if hint is Any:
        return lambda stored, where: stored
    if hint == Event:
        return _event
    if hint in _SCALARS:
        return _scalar(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return _literal(arguments)
    if origin in (types.UnionType, typing.Union):
        return _union(tuple(_reader(each) for each in arguments))
    if origin is tuple:
        return _tuple(_reader(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint)
    raise TypeError(f"no reader for {hint}")


def _scalar(kind: type) -> Read:
    def read(stored: Any, where: str) -> Any:
        if kind is float and type(stored) is int:
            return _as_float(stored, where)
        if type(stored) is not kind:
            raise ValueError(f"{where} is not {_SCALARS[kind]}")
        return stored

    return read


def _as_float(stored: int, where: str) -> float:
    try:
        return float(stored)
    except OverflowError as error:
        raise ValueError(f"{where} is too large") from error


def _literal(allowed: tuple[Any, ...]) -> Read:
    def read(stored: Any, where: str) -> Any:
        if type(stored) is not str or stored not in allowed:
            raise ValueError(f"{where} is none of {', '.join(map(str, allowed))}")
        return stored

    return read


def _union(readers: tuple[Read, ...]) -> Read:
    def read(stored: Any, where: str) -> Any:
        causes = []
        for reader in readers:
            try:
                return reader(stored, where)
            except ValueError as error:
                causes.append(str(error))
        raise ValueError(" and ".join(causes))

    return read


def _tuple(item: Read) -> Read:
    def read(stored: Any, where: str) -> Any:
        if not isinstance(stored, list):
            raise ValueError(f"{where} is no list")
        return tuple(item(each, f"{where}[{number}]") for number, each in enumerate(stored))

    return read


def _mapping(stored: Any, where: str) -> Any:
    if not isinstance(stored, dict):
        raise ValueError(f"{where} is no object")
    return stored


def _event(stored: Any, where: str) -> Event:
    if not isinstance(stored, dict) or stored.keys() != {"kind", "event"} or not isinstance(stored["kind"], str):
        raise ValueError(f"{where} is no event")
    return from_json(stored["kind"], stored["event"])
