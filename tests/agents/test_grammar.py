"""The language of actions, and a schema as a token mask can hold to it."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.enforceable import enforceable
from agents.grammar import action_constraint, final_answer, read_action
from decoder.constraint import satisfies
from decoder.errors import ConstraintRefused
from decoder.masking import check_enforced
from decoder.types import ToolCall


def ids(count):
    return [f"s1c{number}" for number in range(count)]


def allows(constraint, value):
    return satisfies(constraint, json.dumps(value))


def act(name, **arguments):
    return {"name": name, "arguments": arguments}


def test_an_action_is_one_call_of_a_tool_or_the_answer(loop):
    one = action_constraint([loop.tool(), loop.tool("sub")], final_answer())
    assert allows(one, act("add", a=1, b=2))
    assert allows(one, act("sub", a=1, b=2))
    assert allows(one, act("final_answer", answer="x"))
    for wrong in (act("mul", a=1, b=2), act("add", a=1), act("add", a=1, b=2, c=3), act("add", a="1", b=2), [], "x"):
        assert not allows(one, wrong)


def test_several_calls_are_a_list_and_the_answer_is_alone_in_its_own(loop):
    several = action_constraint([loop.tool()], final_answer(), several=True)
    add, answer = act("add", a=1, b=2), act("final_answer", answer="x")
    assert allows(several, [add])
    assert allows(several, [add, add])
    assert allows(several, [answer])
    for wrong in ([], add, [add, answer], [answer, add], [answer, answer]):
        assert not allows(several, wrong)


def test_where_only_the_answer_may_follow_there_is_nothing_else(loop):
    assert not allows(action_constraint((), final_answer()), act("add", a=1, b=2))
    assert allows(action_constraint((), final_answer(), several=True), [act("final_answer", answer="x")])


def test_definitions_of_two_tools_do_not_meet(loop):
    def defined(kind):
        return {"type": "object", "properties": {"v": {"$ref": "#/$defs/V"}}, "required": ["v"], "$defs": {"V": kind}}

    tools = [
        loop.tool("a", parameters=defined({"type": "integer"})),
        loop.tool("b", parameters=defined({"const": "x"})),
    ]
    for several in (False, True):
        constraint = action_constraint(tools, final_answer(), several)
        good, bad = [act("a", v=1), act("b", v="x")], [act("a", v="x"), act("b", v=1)]
        for value in good:
            assert allows(constraint, [value] if several else value)
        for value in bad:
            assert not allows(constraint, [value] if several else value)


def test_two_tools_of_one_name_are_refused(loop):
    with pytest.raises(ConstraintRefused):
        action_constraint([loop.tool(), loop.tool()], final_answer())


def test_an_action_is_read_from_its_text_or_from_the_decoders_own_reading():
    calls = read_action('[{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {}}]', (), ids)
    assert [(c.id, c.tool, c.arguments) for c in calls] == [("s1c0", "a", {"x": 1}), ("s1c1", "b", {})]
    assert read_action("", [ToolCall("id", "a", '{"x": 1}')], ids)[0].arguments == {"x": 1}


@pytest.mark.parametrize("text", ["", "{", "3", '"x"', "[3]", '{"name": "a"}', '{"name": 3, "arguments": {}}'])
def test_what_is_no_action_is_an_error(text):
    with pytest.raises(ValueError):
        read_action(text, (), ids)


@pytest.mark.parametrize("arguments", ["", "[]", "null", '"{}"', "{", "3"])
def test_arguments_that_are_no_object_are_an_error_and_never_empty(arguments):
    with pytest.raises(ValueError):
        read_action("", [ToolCall("id", "a", arguments)], ids)


# Schemas that a mask can hold to


def test_required_properties_are_declared():
    """xgrammar writes {} for it otherwise."""
    spelled = enforceable({"type": "object", "required": ["a"], "properties": {"b": {"type": "integer"}}})
    assert spelled["properties"] == {"b": {"type": "integer"}, "a": {}}
    spelled = enforceable({"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}})
    assert spelled["properties"] == {"a": {"type": "integer"}}
    closed = {"type": "object", "required": ["a"], "additionalProperties": False}
    assert enforceable(closed) == closed


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        {"type": "number", "multipleOf": 0.5},
        {"type": "string", "pattern": "^a", "minLength": 3},
        {"type": "object", "required": ["a"]},
        {"type": "object", "properties": {"a": {"not": {"type": "null"}}}},
    ],
)
def test_what_is_not_enforced_is_refused_by_the_decoder_and_spelled_otherwise_by_the_agent(schema):
    with pytest.raises(ConstraintRefused):
        check_enforced(schema)
    check_enforced(enforceable(schema))


def test_names_and_data_that_look_like_keywords_stay():
    schema = {
        "type": "object",
        "properties": {
            "not": {"type": "string"},
            "if": {"enum": [{"not": 1}]},
            "n": {"type": "integer", "multipleOf": 5},
        },
        "required": ["not"],
        "additionalProperties": False,
    }
    assert enforceable(schema) == schema


LEAVES = [
    {"type": "integer", "minimum": 1},
    {"type": "string", "pattern": "^a+$", "maxLength": 3},
    {"type": "number", "multipleOf": 0.5},
    {"enum": ["a", {"not": 1}]},
    {"not": {"type": "string"}},
    {},
]
schemas = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(lambda items, unique: {"type": "array", "items": items, "uniqueItems": unique}, inner, st.booleans()),
        st.builds(
            lambda properties, required, other: {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": other,
            },
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.lists(st.sampled_from("abcd"), unique=True, max_size=3),
            st.booleans() | inner,
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=5,
)
instances = st.recursive(
    st.sampled_from([None, True, 0, 1, 0.5, 3, "a", "aa", "aaaa", "b", {"not": 1}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=5,
)


@given(schemas, instances)
def test_nothing_that_a_tool_takes_is_ruled_out(schema, value):
    if jsonschema.Draft202012Validator(schema).is_valid(value):
        assert jsonschema.Draft202012Validator(enforceable(schema)).is_valid(value)


def test_a_raw_control_character_in_a_string_is_read():
    """A token mask lets it into strings whose length is limited."""
    (call,) = read_action('{"name": "say", "arguments": {"text": "a\x08b"}}', (), lambda count: ["c"] * count)
    assert call.arguments == {"text": "a\x08b"}
