"""What a search may see: conditions on a document's metadata, and who is asking. Typed, checked, and no engine's own.

Each store turns a `Where` into its engine's filter, so that it holds inside the query and not after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from decoder.errors import UsageError
from rag.types import Metadata, Passage, Value

STEP = "filtering"
FIELDS = ("source", "title", "media_type", "page", "content_hash")
"""Of a passage itself; every other name is a key of its metadata."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_PRINCIPAL = re.compile(r"[^\s,]{1,128}")
_EXPRESSION = re.compile(r"\s*([A-Za-z][\w-]*)\s*(!=|>=|<=|=)\s*(.*?)\s*$", re.ASCII | re.DOTALL)
MOST_METADATA = 64
MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Condition:
    """One field's condition; several parts of it must all hold.

    Attributes:
        field: one of FIELDS, or a key of the metadata.
        any_of: it equals one of these; for a list, one of its items does.
        none_of: it equals none of these.
        at_least, at_most: bounds of a number, inclusive.
    """

    field: str
    any_of: tuple[Value, ...] = ()
    none_of: tuple[Value, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        check_key(self.field)
        if not self.any_of and not self.none_of and self.at_least is None and self.at_most is None:
            raise UsageError(STEP, f"the condition on {self.field} says nothing", "Give a value or a bound")
        for value in (*self.any_of, *self.none_of):
            _check_value(self.field, value)
        for bound in (self.at_least, self.at_most):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float)) or bound != bound):
                raise UsageError(STEP, f"a bound of {self.field} is no number", "Give numbers")


@dataclass(frozen=True, slots=True)
class Access:
    """Who is asking: sees the documents of one tenant that are open to everybody there or to one of `principals`."""

    tenant: str = ""
    principals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.principals, *([self.tenant] if self.tenant else [])):
            check_principal(name)

    def allows(self, passage: Passage) -> bool:
        """What the filter in the store enforces, for passages already at hand."""
        return self.may_read(passage.tenant, passage.readers)

    def may_read(self, tenant: str, readers: Sequence[str]) -> bool:
        """Whether a document of `tenant` with these `readers` is visible."""
        return tenant == self.tenant and (not readers or bool(set(readers) & set(self.principals)))


@dataclass(frozen=True, slots=True)
class Where:
    """All `conditions` hold, and `access`, when there is one, may see the document."""

    conditions: tuple[Condition, ...] = ()
    access: Access | None = None

    def __bool__(self) -> bool:
        return bool(self.conditions) or self.access is not None

    def and_sources(self, sources: Sequence[str] | None) -> Where:
        """The same, within these documents only; None leaves it as it is."""
        if sources is None:
            return self
        return replace(self, conditions=(*self.conditions, Condition("source", any_of=tuple(sources))))


def where(conditions: Mapping[str, Value | Sequence[Value]] | None = None, access: Access | None = None) -> Where:
    """A `Where` from `{"author": "Ann", "year": [2020, 2021]}`: each field equals the value, or one of the values."""
    found = []
    for field, value in (conditions or {}).items():
        values = (value,) if isinstance(value, (str, int, float, bool)) else tuple(value)
        found.append(Condition(field, any_of=values))
    return Where(tuple(found), access)


def parse_where(expressions: Iterable[str], access: Access | None = None) -> Where:
    """A `Where` from texts such as "author=Ann", "author=Ann|Bob", "draft!=true", "year>=2020".

    A number is a number and true and false are truth values, unless quoted: id="007".

    Raises:
        UsageError: one of them is not such a text.
    """
    return Where(tuple(_parse(text) for text in expressions), access)


def _parse(text: str) -> Condition:
    match = _EXPRESSION.match(text)
    if match is None or not match.group(3):
        raise UsageError(STEP, f"{text!r} is no condition", "Write field=value, field!=value, field>=N or field<=N")
    field, sign, right = match.groups()
    if sign in ("=", "!="):
        values = tuple(_value(part.strip()) for part in right.split("|"))
        return Condition(field, any_of=values) if sign == "=" else Condition(field, none_of=values)
    bound = _value(right)
    if isinstance(bound, (bool, str)):
        raise UsageError(STEP, f"{right!r} is no number", f"Give a number after {field}{sign}")
    return Condition(field, at_least=bound) if sign == ">=" else Condition(field, at_most=bound)


def _value(text: str) -> Value:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_key(key: str) -> str:
    """`key` itself when it can name a field; raises UsageError."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise UsageError(STEP, f"{key!r} cannot name a field", "Use letters, digits, - and _, a letter first")
    return key


def check_principal(name: str) -> str:
    """`name` itself when it can name a tenant, a user or a group; raises UsageError."""
    if not isinstance(name, str) or not _PRINCIPAL.fullmatch(name):
        raise UsageError(STEP, f"{name!r} cannot name a tenant or a reader", "Use up to 128 characters without spaces")
    return name


def check_metadata(metadata: Metadata) -> Metadata:
    """The same with lists as tuples; raises UsageError for keys or values that no filter could meet."""
    if len(metadata) > MOST_METADATA:
        raise UsageError(STEP, f"{len(metadata)} metadata fields are too many", f"Give at most {MOST_METADATA}")
    checked: dict[str, Value | tuple[str, ...]] = {}
    for key, value in metadata.items():
        if check_key(key) in FIELDS:
            raise UsageError(STEP, f"{key!r} is a field of the passage itself", "Choose another name")
        if isinstance(value, (list, tuple)):
            value = tuple(value)
            if not all(isinstance(item, str) and len(item) <= MOST_CHARACTERS for item in value):
                raise UsageError(STEP, f"the list {key} holds something other than short texts", "Give texts")
        else:
            _check_value(key, value)
        checked[key] = value
    return checked


def _check_value(field: str, value: object) -> None:
    if not isinstance(value, (str, int, float, bool)) or value != value:
        raise UsageError(STEP, f"{field}={value!r} is no text, number or truth value", "Give one of these")
    if isinstance(value, str) and len(value) > MOST_CHARACTERS:
        raise UsageError(STEP, f"the value of {field} is longer than {MOST_CHARACTERS} characters", "Shorten it")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise UsageError(STEP, f"{field}={value} does not fit 64 bits", "Give it as text")
