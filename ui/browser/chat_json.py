"""An answer as JSON and back, nothing lost: what the store of conversations keeps. Reading checks every field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any, TypeVar

from decoder.errors import ServiceError
from rag.types import Answer, Citation, Hit, Passage

T = TypeVar("T")
STEP = "reading a kept answer"
_NUMBERS = ("nan", "inf", "-inf")
_TEXTS = ("text", "source", "title", "content_hash", "context", "media_type", "tenant", "id", "quote", "passage_id")
_WHOLE = ("start", "end", "line_start", "line_end", "parent_start", "parent_end", "marker")


class AnswerDamaged(ServiceError):
    """What was kept is no answer."""


def answer_as_json(answer: Answer) -> str:
    """The whole answer, as one line of ASCII; lone surrogates and numbers that are none survive."""
    return json.dumps(_plain(answer), separators=(",", ":"))


@lru_cache(maxsize=512)
def answer_from_json(text: str) -> Answer:
    """Read what `answer_as_json` wrote; the same text again gives the same answer. Raises AnswerDamaged."""
    try:
        found = _object(json.loads(text))
        return Answer(
            text=_text(found["text"]),
            citations=tuple(_read(Citation, each) for each in _list(found["citations"])),
            confidence=_number(found["confidence"]),
            passages=tuple(_hit(each) for each in _list(found["passages"])),
            refused=_truth(found["refused"]),
            timings={_text(name): _number(value) for name, value in _object(found["timings"]).items()},
            generated=_truth(found["generated"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        cause = f"it is damaged ({type(error).__name__}: {error})"
        raise AnswerDamaged(STEP, cause, "Ask again; the question is still there") from None


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _hit(data: Any) -> Hit:
    found = _object(data)
    scores = {name: None if found.get(name) is None else _number(found[name]) for name in ("dense", "sparse")}
    return Hit(_read(Passage, found["passage"]), _number(found["score"]), **scores)


def _read(kind: type[T], data: Any) -> T:
    """A passage or a citation. What a later version added is left out; what has a default may be missing."""
    found, values = _object(data), {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in found:
            values[field.name] = _field(field.name, found[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise KeyError(field.name)
    return kind(**values)


def _field(name: str, value: Any) -> Any:
    if name in _TEXTS:
        return _text(value)
    if name in _WHOLE:
        return _whole(value)
    if name == "page":
        return None if value is None else _whole(value)
    if name in ("heading", "readers"):
        return tuple(_text(each) for each in _list(value))
    if name == "metadata":
        return {_text(key): _value(item) for key, item in _object(value).items()}
    raise ValueError(f"nothing is known of the field {name}")


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_text(each) for each in value)
    if isinstance(value, (str, bool, int)):
        return value
    return _number(value)


def _number(value: Any) -> float:
    if isinstance(value, dict) and value.get("float") in _NUMBERS:
        return float(value["float"])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.40} is no number")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r:.40} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is neither true nor false")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} is no object")
    return value
