"""A prompt's variables: their types, the check of each value, and untrusted text that is always marked.

Knows nothing of templates. What leaves here is plain data: texts, numbers, lists and objects of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from decoder.types import Message
from prompts.errors import MissingValue, WrongType
from prompts.untrusted import mark_untrusted

VariableType: TypeAlias = Literal[
    "string", "integer", "number", "boolean", "array", "object", "untrusted", "messages", "examples"
]
TYPES: tuple[str, ...] = get_args(VariableType)
INSERTED = ("messages", "examples")
"""Types that become turns of the conversation, at an `## insert NAME` line, and not text."""
MOST_DEPTH = 32
STEP = "rendering a prompt"
ROLES = ("system", "user", "assistant", "tool")


class Required:
    """The type of `REQUIRED`, of which there is one, in copies and in other processes too."""

    def __reduce__(self) -> str:
        return "REQUIRED"

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = Required()
"""The default of a variable that has none."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One hole in a prompt.

    Attributes:
        type: "untrusted" is a text or a list of texts that is marked before it enters (see `Quoted`); "messages" and
            "examples" are inserted as turns.
        default: what stands there when no value is given; `REQUIRED` when one has to be.
        stable: the value stays the same over many calls, so it may stand in the part that a prefix cache serves.
        example: a value to try the prompt with; REQUIRED when there is none.
    """

    name: str
    type: VariableType = "string"
    default: Any = REQUIRED
    description: str = ""
    stable: bool = False
    example: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a value has to be given."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Quoted:
    """An untrusted text and where it comes from; a mapping with `text` and `label` says the same."""

    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A solved case for the model to imitate.

    Attributes:
        input: what the user would say; or values of the prompt's variables, rendered as its last user turn.
        output: what the assistant should answer.
        label: its class, for a choice that is balanced over labels.
    """

    input: str | Mapping[str, Any]
    output: str
    label: str = ""


class Marked(str):
    """Text that `mark_untrusted` has been through; marking it again changes nothing."""

    __slots__ = ()


def mark(value: Any) -> Marked:
    """A text, a `Quoted`, or a list of these, in numbered boxes. Raises TypeError for anything else."""
    if isinstance(value, Marked):
        return value
    items = [value] if isinstance(value, (str, Quoted, Mapping)) else list(value)
    quoted = [_quoted(item) for item in items]
    labels = [item.label for item in quoted]
    return Marked(mark_untrusted([item.text for item in quoted], labels if any(labels) else ()))


def _quoted(item: Any) -> Quoted:
    if isinstance(item, Quoted):
        return item
    if isinstance(item, str):
        return Quoted(item)
    if isinstance(item, Mapping) and isinstance(item.get("text"), str) and item.keys() <= {"text", "label"}:
        return Quoted(item["text"], str(item.get("label", "")))
    raise TypeError("neither a text nor an object of text and label")


def checked(variable: Variable, value: Any) -> Any:
    """`value` as the template may see it: plain, and marked where it is untrusted.

    Raises:
        WrongType: it is of another type, or holds what is no plain data.
    """
    try:
        return _CHECKS[variable.type](value)
    except TypeError as error:
        cause = f"{variable.name} is {variable.type}, and the value is {type(value).__name__}"
        raise WrongType(STEP, f"{cause} ({error})" if str(error) else cause, "Give a value of that type") from error


def resolved(variables: Iterable[Variable], values: Mapping[str, Any], step: str = STEP) -> dict[str, Any]:
    """Every variable's checked value: the one given, or its default.

    Raises:
        MissingValue: there is neither.
        WrongType: as `checked`.
    """
    known: dict[str, Any] = {}
    for variable in variables:
        value = values.get(variable.name, variable.default)
        if value is REQUIRED:
            raise MissingValue(step, f"{variable.name} ({variable.type}) has no value", "Give one")
        absent = value is None and variable.default is None
        known[variable.name] = None if absent else checked(variable, value)
    return known


def as_turns(value: Iterable[Message | Example]) -> Iterator[Message]:
    """A checked value of an inserted type as turns; their texts are never read as templates."""
    for item in value:
        if isinstance(item, Message):
            yield item
        else:
            yield from (Message("user", str(item.input)), Message("assistant", item.output))


def plain(value: Any, depth: int = 0) -> Any:
    """A copy made of nothing but JSON's types. Raises TypeError for anything else, and for deep nesting."""
    if depth > MOST_DEPTH:
        raise TypeError(f"nested deeper than {MOST_DEPTH}")
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("an object has a key that is no text")
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(item, depth + 1) for item in value]
    raise TypeError(f"it holds a {type(value).__name__}, which is no plain data")


def _of(*kinds: type, but: tuple[type, ...] = ()) -> Any:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds) or isinstance(value, but):
            raise TypeError
        return plain(value)

    return check


def _untrusted(value: Any) -> Marked:
    if not isinstance(value, (str, Quoted, Mapping, Sequence)) or isinstance(value, (bytes, bytearray)):
        raise TypeError
    # A marked text that comes from outside was marked by somebody else: only what is marked here counts.
    return mark(str(value) if isinstance(value, str) else value)


def _messages(value: Any) -> tuple[Message, ...]:
    return tuple(_message(item) for item in _items(value))


def _message(item: Any) -> Message:
    if isinstance(item, Message):
        return item
    if not isinstance(item, Mapping) or item.keys() != {"role", "content"} or item["role"] not in ROLES:
        raise TypeError("a message has a role and a content")
    if not isinstance(item["content"], str):
        raise TypeError("a message's content is text")
    return Message(item["role"], item["content"])


def _examples(value: Any) -> tuple[Example, ...]:
    return tuple(_example(item) for item in _items(value))


def _example(item: Any) -> Example:
    if isinstance(item, Mapping):
        if not {"input", "output"} <= item.keys() <= {"input", "output", "label"}:
            raise TypeError("an example has input, output and perhaps label")
        item = Example(item["input"], item["output"], item.get("label", ""))
    if not isinstance(item, Example) or not isinstance(item.input, str) or not isinstance(item.output, str):
        raise TypeError("an example's input and output are texts")
    return item


def _items(value: Any) -> Iterable[Any]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        raise TypeError
    return value


_CHECKS: Mapping[str, Any] = {
    "string": _of(str),
    "integer": _of(int, but=(bool,)),
    "number": _of(int, float, but=(bool,)),
    "boolean": _of(bool),
    "array": _of(list, tuple),
    "object": _of(Mapping),
    "untrusted": _untrusted,
    "messages": _messages,
    "examples": _examples,
}
