"""A typed function becomes a tool: its schema, its validator, and what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import json
import pathlib
import uuid
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, HttpUrl, SecretStr

from agents import Agent, tool
from agents.errors import SchemaError, ToolError
from agents.running import Running
from decoder.constraint import tool_call
from decoder.masking import check_enforced
from decoder.schema import check_schema, subschemas
from decoder.scripted import ScriptedDecoder


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Tree(TypedDict):
    value: int
    children: NotRequired[list[Tree]]


class Order(BaseModel):
    items: set[int]
    places: dict[int, Point] = {}
    colour: Colour = Colour.RED


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


# Type, what the decoder writes, what the function receives.
TAKEN = [
    (int, 5, 5),
    (float, 5, 5.0),
    (bool, False, False),
    (str, "false", "false"),
    (Optional[int], None, None),  # noqa: UP045
    (int | str, "5", "5"),
    (list[int], [1, 2], [1, 2]),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (dict[int, str], {"5": "x"}, {5: "x"}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (set[int], [1, 1, 2], {1, 2}),
    (frozenset[str], ["a"], frozenset({"a"})),
    (Literal["a", "b"], "b", "b"),
    (Colour, "blue", Colour.BLUE),
    (Point, {"x": 1}, Point(1)),
    (list[Tree], [{"value": 1, "children": [{"value": 2}]}], [{"value": 1, "children": [{"value": 2}]}]),
    (Order, {"items": [3]}, Order(items={3})),
    (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog"}, Dog(kind="dog")),
    (dt.datetime, "2026-11-24T10:00:00Z", dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)),
    (dt.date, "2026-11-24", dt.date(2026, 11, 24)),
    (dt.timedelta, "PT90S", dt.timedelta(seconds=90)),
    (decimal.Decimal, 19.99, decimal.Decimal("19.99")),
    (uuid.UUID, "12345678123456781234567812345678", uuid.UUID("12345678123456781234567812345678")),
    (pathlib.Path, "a/b", pathlib.Path("a/b")),
    (Annotated[int, Field(ge=1, le=9)], 9, 9),
    (Annotated[str, Field(pattern="^a", min_length=2)], "ab", "ab"),
    (Annotated[decimal.Decimal, Field(ge=1, max_digits=4)], 1.5, decimal.Decimal("1.5")),
    (Annotated[list[int], Field(min_length=1)], [1], [1]),
    (Any, {"a": [None]}, {"a": [None]}),
]


def make(hint):
    def given_one(value): ...

    given_one.__annotations__ = {"value": hint}
    return tool(given_one)


@pytest.mark.parametrize(("hint", "written", "received"), TAKEN, ids=lambda each: str(each)[:40])
def test_types_of_arguments(hint, written, received):
    made = make(hint)
    assert made.validate({"value": written}) == {"value": received}
    check_enforced(tool_call([made.spec]).value)  # nothing that a mask would read past
    assert all(not node.keys() & {"title", "uniqueItems", "discriminator"} for node in subschemas(made.parameters))
    assert all(node["additionalProperties"] is False for node in subschemas(made.parameters) if "properties" in node)


SURPRISES = [
    (bool, "false"),
    (bool, 1),
    (int, "5"),
    (int, True),
    (int, 5.5),
    (str, 5),
    (float, "1.5"),
    (list[int], "1,2"),
    (Colour, "green"),
    (Literal["a"], "b"),
    (Annotated[int, Field(ge=1)], 0),
    (Annotated[str, Field(pattern="^a", min_length=2)], "a"),
    (Annotated[decimal.Decimal, Field(max_digits=3)], 1.2345),
    (decimal.Decimal, "ten"),
    (dt.date, "2026-02-30"),
    (dt.datetime, 0),
    (dict[int, str], {"five": "x"}),
    (Point, {"x": 1, "z": 2}),
    (Order, {"items": [1], "more": 1}),
    (list[Tree], [{"children": []}]),
    (tuple[int, str], [1]),
    (float, float("nan")),
    (str, "\ud800"),
]


@pytest.mark.parametrize(("hint", "written"), SURPRISES, ids=lambda each: repr(each)[:40])
def test_nothing_is_coerced(hint, written):
    with pytest.raises(ValueError, match=r"value|float|JSON") as caught:
        make(hint).validate({"value": written})
    message = str(caught.value)
    assert "http" not in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "hint", [HttpUrl, Annotated[SecretStr, Field(min_length=3)], Annotated[bytes, Field(min_length=2)], set[Colour]]
)
def test_other_types_have_schemas_that_are_enforced(hint):
    check_enforced(tool_call([make(hint).spec]).value)


def test_errors_name_the_place_and_what_was_given():
    def f(order: Order, count: int, when: dt.date): ...

    with pytest.raises(ValueError) as caught:
        tool(f).validate({"order": {"items": ["a"]}, "count": "5", "size": 1})
    message = str(caught.value)
    for part in (
        'order.items.0 should be a valid integer, not "a"',
        'count should be a valid integer, not "5"',
        "when is missing",
        "there is no size (there are: order, count, when)",
    ):
        assert part in message


def test_a_validator_of_the_users_speaks_and_cannot_end_a_run():
    def even(value):
        if value == 7:
            raise KeyError("odd")
        if value % 2:
            raise ValueError("must be even")
        return value

    made = make(Annotated[int, AfterValidator(even)])
    with pytest.raises(ValueError, match="value: must be even"):
        made.validate({"value": 3})
    with pytest.raises(ValueError, match="KeyError"):
        made.validate({"value": 7})


def test_defaults_are_filled_in_as_the_functions_own_objects():
    marker = object()

    def f(a: int = 1, b: Any = marker, c: int = Field(5, ge=1, description="more"), d: int = None): ...  # noqa: RUF013

    made = tool(f)
    found = made.validate({})
    assert found == {"a": 1, "b": marker, "c": 5, "d": None}
    assert found["b"] is marker
    assert "required" not in made.parameters
    assert made.parameters["properties"]["a"]["default"] == 1
    assert made.parameters["properties"]["c"]["description"] == "more"
    assert made.validate({"d": None})["d"] is None


def test_names_that_pydantic_has_itself():
    def f(schema: int, copy: bool, json: str, model_config: int, _x: int, self: str): ...

    arguments = {"schema": 1, "copy": True, "json": "a", "model_config": 2, "_x": 3, "self": "me"}
    assert tool(f).validate(arguments) == arguments


def test_an_alias_is_what_the_decoder_writes():
    def f(origin: Annotated[str, Field(alias="from", description="where")]): ...

    made = tool(f)
    assert list(made.parameters["properties"]) == ["from"]
    assert made.validate({"from": "here"}) == {"origin": "here"}


def test_descriptions_come_from_the_field_then_the_annotation_then_the_docstring():
    def f(a: Annotated[int, Field(description="field")], b: Annotated[int, "note"], c: int):
        """Do it.

        Args:
            a: no
            b: no
            c: the docstring's
        """

    described = tool(f).parameters["properties"]
    assert [described[name]["description"] for name in "abc"] == ["field", "note", "the docstring's"]


class Weather:
    """The weather."""

    def __call__(self, city: str) -> str:
        return city

    def method(self, city: str) -> str:
        """Of a method."""
        return city

    @staticmethod
    def static(city: str) -> str:
        return city

    @classmethod
    def of_class(cls, city: str) -> str:
        return city


class Later:
    async def __call__(self, city: str) -> str:
        """Asynchronous."""
        return city


def keyed(key: str, city: str, days: int = 3) -> str:
    return f"{key} {city} {days}"


async def later(city: str) -> str:
    return city


def decorated(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


@pytest.mark.parametrize(
    ("function", "name", "description"),
    [
        (Weather(), "Weather", "The weather."),
        (Later(), "Later", "Asynchronous."),
        (Weather().method, "method", "Of a method."),
        (Weather.static, "static", ""),
        (Weather.of_class, "of_class", ""),
        (functools.partial(keyed, key="secret"), "keyed", ""),
        (functools.partial(keyed, "secret"), "keyed", ""),
        (functools.partial(later), "later", ""),
        (decorated(Weather.static), "static", ""),
    ],
)
async def test_every_kind_of_callable(function, name, description):
    made = tool(function)
    assert (made.name, made.description) == (name, description)
    assert "city" in made.parameters["properties"]
    assert "key" not in made.parameters["properties"]  # what a partial holds is not the decoder's to choose
    decoder = ScriptedDecoder([json.dumps({"name": name, "arguments": {"city": "Rome"}}), END])
    result = [e async for e in Agent(decoder, [made], thought_tokens=0).astream("go")]
    assert any("Rome" in getattr(event, "text", "") for event in result)


END = '{"name": "final_answer", "arguments": {"answer": "done"}}'


def var_positional(*values: int): ...
def var_keyword(**values: int): ...
def positional_only(value: int, /): ...
def unhinted(value): ...
def unhinted_default(value=5): ...
def no_schema(value: range): ...
def generator(value: int):
    yield value


def unknown(value: Missing): ...  # noqa: F821
def twice(a: Annotated[int, Field(alias="x")], x: int): ...


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (var_positional, "list"),
        (var_keyword, "Name each parameter"),
        (positional_only, "/"),
        (unhinted, "value: str"),
        (unhinted_default, "value: int"),
        (no_schema, "JSON-like"),
        (generator, "Return a list"),
        (unknown, "Import it"),
        (twice, "Give each its own"),
        (Weather, "is a class"),
    ],
)
def test_what_has_no_schema_is_refused_with_the_remedy(function, remedy):
    with pytest.raises(SchemaError) as caught:
        tool(function)
    assert remedy in str(caught.value)
    assert "http" not in str(caught.value)


def test_hints_may_name_what_is_local_to_the_making_function():
    @dataclasses.dataclass
    class Local:
        a: int

    @tool
    def f(value: Local, more: list[Local] | None = None): ...

    assert f.validate({"value": {"a": 1}})["value"] == Local(1)


def test_options_go_before_what_is_read():
    made = tool(name="five", description="Gives five.", effect="read", timeout=5)(lambda: 5)
    assert (made.name, made.description, made.effect, made.timeout) == ("five", "Gives five.", "read", 5)
    assert made() == 5
    with pytest.raises(ToolError, match="unknown options: efect"):
        tool(efect="read")(lambda: 5)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_tool_may_ask_for_the_running_call(is_async):
    def plain(city: str, now: Running) -> str:
        return f"{city}: {now.task}"

    async def asynchronous(city: str, now: Running) -> str:
        return f"{city}: {now.task}"

    made = tool(name="f")(asynchronous if is_async else plain)
    assert list(made.parameters["properties"]) == ["city"]
    decoder = ScriptedDecoder(['{"name": "f", "arguments": {"city": "Rome"}}', END])
    seen = [getattr(event, "text", "") for event in Agent(decoder, [made], thought_tokens=0).stream("the task")]
    assert "Rome: the task" in seen
    with pytest.raises(ToolError, match="there is none"):
        asyncio.run(made(city="Rome")) if is_async else made(city="Rome")


def test_outside_of_a_run_the_context_is_its_default():
    def f(now: Running | None) -> Any:
        return now

    def g(now: Running = None) -> Any:
        return now

    assert tool(f)() is None
    assert tool(g)() is None


@given(
    st.lists(st.sampled_from([int, str, bool, list[int], dict[str, int], Point, Order, Colour]), max_size=5), st.data()
)
def test_every_schema_is_self_contained_and_every_written_argument_is_read(hints, data):
    parameters = [f"a{number}" for number in range(len(hints))]
    source = f"def f({', '.join(parameters)}): ..."
    space: dict[str, Any] = {}
    exec(source, space)
    f = space["f"]
    f.__annotations__ = dict(zip(parameters, hints, strict=True))
    made = tool(f)
    check_schema(made.parameters)
    written = {name: data.draw(WRITTEN[hint]) for name, hint in f.__annotations__.items()}
    assert made.validate(json.loads(json.dumps(written))).keys() == written.keys()


INTEGERS = st.integers(-(2**40), 2**40)
POINTS = st.fixed_dictionaries({"x": INTEGERS}, optional={"y": st.floats(allow_nan=False, allow_infinity=False)})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WRITTEN = {
    int: INTEGERS,
    str: TEXTS,
    bool: st.booleans(),
    list[int]: st.lists(INTEGERS),
    dict[str, int]: st.dictionaries(TEXTS, INTEGERS),
    Point: POINTS,
    Order: st.fixed_dictionaries({"items": st.lists(INTEGERS)}, optional={"colour": st.sampled_from(["red", "blue"])}),
    Colour: st.sampled_from(["red", "blue"]),
}
