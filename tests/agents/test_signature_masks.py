"""What a token mask lets through for a tool is what its validator takes, as far as a schema can say it."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import pathlib
import uuid
from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired, Optional, TypedDict

import pytest
import xgrammar
from pydantic import BaseModel, Field

from agents import tool
from agents.errors import SchemaError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Tree(TypedDict):
    value: int
    children: NotRequired[list[Tree]]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)] = 9


class Dog(BaseModel):
    kind: Literal["dog"]


STOP = 0
INFO = xgrammar.TokenizerInfo(
    [bytes([byte]) for byte in range(256)], vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[STOP]
)
COMPILER = xgrammar.GrammarCompiler(INFO, max_threads=1)


def lets_through(schema, value):
    grammar = COMPILER.compile_json_schema(json.dumps(schema), any_whitespace=False)
    matcher = xgrammar.GrammarMatcher(grammar)
    return matcher.accept_string(json.dumps(value)) and matcher.accept_token(STOP)


def make(hint):
    def given_one(value): ...

    given_one.__annotations__ = {"value": hint}
    return tool(given_one)


# Type, what may be written, and what may not.
CASES = [
    (int, [5, -7], ["5", 5.5, True]),
    (bool, [True], ["true", 1]),
    (float, [1, 1.5, -2e3], ["1.5", None]),
    (Optional[int], [5, None], ["none"]),  # noqa: UP045
    (Colour, ["red"], ["green", 0]),
    (Literal["a", 1], ["a", 1], ["b", 2]),
    (set[int], [[1, 2]], [{}, ["a"]]),
    (tuple[int, str], [[1, "a"]], [[1], [1, "a", 2], ["a", 1]]),
    (dict[int, str], [{"5": "x", "-12": "y"}, {}], [{"five": "x"}, {"05": "x"}, {"5": 5}]),
    (list[Tree], [[{"value": 1, "children": [{"value": 2}]}]], [[{"children": []}], [{"value": 1, "more": 2}]]),
    (
        Annotated[Cat | Dog, Field(discriminator="kind")],
        [{"kind": "cat", "lives": 3}],
        [{"kind": "cow"}, {"kind": "cat", "lives": 10}],
    ),
    (dt.datetime, ["2026-11-24T10:00:00Z"], ["today", 5]),
    (dt.date, ["2026-11-24"], ["24.11.2026"]),
    (dt.timedelta, ["PT90S", "P1DT2H"], ["90 seconds"]),
    (decimal.Decimal, [19.99, 20], ["19.99"]),
    (Annotated[decimal.Decimal, Field(ge=1, le=3)], [1, 2.5], [0.5, 4]),
    (uuid.UUID, ["12345678-1234-5678-1234-567812345678"], ["x"]),
    (pathlib.Path, ["a/b.txt"], [5]),
    (Annotated[str, Field(pattern="^a", min_length=2)], ["ab", "abc"], ["b"]),
    (Annotated[str, Field(pattern="b|c")], ["xbx", "c"], ["xx"]),
    (Annotated[str, Field(min_length=2, max_length=3)], ["ab"], ["a", "abcd"]),
    (Annotated[int, Field(gt=0, lt=10)], [1, 9], [0, 10]),
    (Annotated[list[int], Field(min_length=1, max_length=2)], [[1]], [[], [1, 2, 3]]),
]


@pytest.mark.parametrize(("hint", "allowed", "barred"), CASES, ids=lambda each: str(each)[:40])
def test_masks_and_validators_agree(hint, allowed, barred):
    made = make(hint)
    for value in allowed:
        assert lets_through(made.parameters, {"value": value})
        made.validate({"value": value})
    for value in barred:
        assert not lets_through(made.parameters, {"value": value})
    assert not lets_through(made.parameters, {})
    assert not lets_through(made.parameters, {"value": allowed[0], "more": 1})


def test_names_with_defaults_may_be_left_out():
    def f(a: int, b: int = 2, schema: str | None = None): ...

    made = tool(f)
    assert lets_through(made.parameters, {"a": 1})
    assert lets_through(made.parameters, {"a": 1, "schema": None})
    assert not lets_through(made.parameters, {"b": 1})


def test_a_typed_dict_that_pydantic_cannot_read_is_refused_with_the_remedy():
    @dataclass
    class Holder:
        tree: Tree

    with pytest.raises(SchemaError, match="typing_extensions"):
        make(Holder)
