"""Constraints are refused early when they are malformed, and tell whether a text satisfies them."""

import importlib
import json
import re
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from decoder import Constraint, ConstraintRefused, Message, ScriptedDecoder, Tool, ToolCall, system, user
from decoder.constraint import (
    choice,
    grammar,
    is_tool_call,
    json_schema,
    regex,
    satisfies,
    structural_tag,
    tool_call,
    validate,
)
from decoder.toolcalls import BEGIN, END, CallSplitter, plan, read_call, split_calls, with_tools

CHECKED = pytest.mark.skipif(importlib.util.find_spec("jsonschema") is None, reason="jsonschema is in the dev extra")


class Model(BaseModel):
    size: int


@dataclass
class Data:
    size: int


class Inner(TypedDict):
    deep: bool


class Typed(TypedDict):
    size: int
    inner: NotRequired[Inner]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "empty"),
        ("(a", "malformed"),
        ("(?=a)b", "lookaround"),
        ("(?<!a)b", "lookaround"),
        (r"(a)\1", "backreference"),
        (r"(?P<x>a)(?P=x)", "backreference"),
        (r"\bword\b", "boundary"),
    ],
)
def test_a_pattern_that_no_mask_can_follow_is_refused(pattern, why):
    with pytest.raises(ConstraintRefused, match=why):
        regex(pattern)


@pytest.mark.parametrize("pattern", [r"[(?=)]+", r"\(\?=", r"a\\1", r"[\b]", r"[]\1x]?[^]]", r"\d{3}-[a-f]+"])
def test_a_pattern_that_only_looks_like_one_is_taken(pattern):
    assert regex(pattern) == Constraint("regex", pattern)


@pytest.mark.parametrize("choices", [[], ["a", "a"], ["a", ""], ["a", 1], "abc"])
def test_choices_must_be_distinct_and_not_empty(choices):
    with pytest.raises(ConstraintRefused):
        choice(choices)


@pytest.mark.parametrize(
    "schema",
    [
        [],
        "no json",
        {"type": "strnig"},
        {"properties": []},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"$ref": "https://example.org/schema.json"},
        {"const": float("nan")},
        {"default": object()},
    ],
)
def test_a_malformed_schema_is_refused(schema):
    with pytest.raises(ConstraintRefused):
        validate(Constraint("json", schema))


def test_what_stands_in_enum_and_default_is_data():
    assert json_schema({"enum": [{"$ref": "not a reference"}], "default": {"type": "whatever"}})


def test_references_inside_the_schema_are_followed():
    schema = {"$defs": {"a/b": {"type": "array", "items": {"$ref": "#"}}}, "$ref": "#/$defs/a~1b"}
    assert json_schema(schema).value == schema


@pytest.mark.parametrize("source", [Model, Data, Typed, Model.model_json_schema(), json.dumps({"required": ["size"]})])
def test_a_schema_is_read_from_classes_mappings_and_text(source):
    assert "size" in json_schema(source).value["required"]


def test_a_typed_dict_keeps_what_is_not_required_and_what_is_inside():
    schema = json_schema(Typed).value
    assert schema["required"] == ["size"]
    assert schema["$defs"]["Inner"]["properties"] == {"deep": {"title": "Deep", "type": "boolean"}}


@pytest.mark.parametrize("text", ["", "rule ::= 'a'", "rooted ::= 'a'"])
def test_a_grammar_needs_a_root(text):
    with pytest.raises(ConstraintRefused, match="root"):
        grammar(text)


@pytest.mark.parametrize("tag", ["{", "[]", {}, {"type": "structural_tag"}, {"format": {}}])
def test_a_structural_tag_has_a_type_and_a_format(tag):
    with pytest.raises(ConstraintRefused):
        structural_tag(tag)


def test_a_structural_tag_is_read_from_text():
    tag = {"type": "structural_tag", "format": {"type": "const_string", "value": "a"}}
    assert structural_tag(json.dumps(tag)).value == tag


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConstraintRefused, match="kind"):
        validate(Constraint("lark", "start: 'a'"))


@pytest.mark.parametrize(
    ("constraint", "text", "verdict"),
    [
        (regex("a+"), "aaa", True),
        (regex("a+"), "aab", False),
        (choice(["yes", "no"]), "no", True),
        (choice(["yes", "no"]), "noo", False),
        (json_schema({"type": "integer"}), "{", False),
        pytest.param(json_schema({"type": "integer"}), "3", True, marks=CHECKED),
        pytest.param(json_schema({"type": "integer"}), '"3"', False, marks=CHECKED),
        (grammar('root ::= "a"'), "a", None),
        (structural_tag({"type": "structural_tag", "format": {"type": "any_text"}}), "a", None),
    ],
)
def test_a_text_satisfies_breaks_or_cannot_be_told(constraint, text, verdict):
    assert satisfies(constraint, text) is verdict


def test_without_jsonschema_json_is_parsed_only(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert satisfies(json_schema({"type": "integer"}), '"3"') is None
    assert satisfies(json_schema({"type": "integer"}), "3}") is False


@settings(max_examples=100, deadline=None)
@given(st.from_regex(r"[0-9]{1,3}-[a-f]+", fullmatch=True), st.text(max_size=12))
def test_the_verdict_on_a_pattern_is_that_of_a_full_match(matching, other):
    constraint = regex(r"[0-9]{1,3}-[a-f]+")
    assert satisfies(constraint, matching) is True
    assert satisfies(constraint, other) is (re.fullmatch(r"[0-9]{1,3}-[a-f]+", other) is not None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SHAPES = st.dictionaries(st.sampled_from(["type", "properties", "$ref", "anyOf", "items", "required", "enum"]), JSON)


@settings(max_examples=100, deadline=None)
@given(SHAPES)
def test_any_mapping_is_taken_or_refused_with_a_typed_error(schema):
    try:
        assert json_schema(schema).kind == "json"
    except ConstraintRefused as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_any_pattern_is_taken_or_refused_with_a_typed_error(pattern):
    try:
        assert regex(pattern).kind == "regex"
    except ConstraintRefused as error:
        assert error.cause


# Tool calls

CITY = Tool(
    "weather",
    "The weather.",
    {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}},
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"City": {"type": "string"}},
    },
)
OTHER = Tool(
    "visit",
    "Go there.",
    {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "$defs": {"City": {"type": "integer"}}},
)


@CHECKED
def test_a_tool_call_names_one_of_the_tools_and_follows_its_schema():
    constraint = tool_call([CITY, OTHER])
    assert is_tool_call(constraint)
    assert satisfies(constraint, '{"name": "weather", "arguments": {"city": "Oslo"}}')
    assert satisfies(constraint, '{"name": "visit", "arguments": {"city": 4}}')
    assert satisfies(constraint, '{"name": "visit", "arguments": {"city": "Oslo"}}') is False
    assert satisfies(constraint, '{"name": "vist", "arguments": {"city": 4}}') is False
    assert satisfies(constraint, '{"name": "weather"}') is False


def test_a_schema_of_the_users_own_is_no_tool_call():
    assert not is_tool_call(json_schema(CITY.parameters))
    assert not is_tool_call(regex("a"))
    assert not is_tool_call(None)


@pytest.mark.parametrize("tools", [[], [CITY, CITY]])
def test_tools_must_be_there_and_have_names_of_their_own(tools):
    with pytest.raises(ConstraintRefused):
        tool_call(tools)


def test_a_call_is_read_whole_or_not_at_all():
    call = read_call('{"name": "weather", "arguments": {"city": "Zürich"}}')
    assert (call.name, call.arguments) == ("weather", '{"city": "Zürich"}')
    for text in ("", "{", "[]", '{"name": 1, "arguments": {}}', '{"name": "a"}', '{"name": "a", "arguments": []}'):
        assert read_call(text) is None


def test_each_call_has_an_id_of_its_own():
    text = '{"name": "a", "arguments": {}}'
    assert read_call(text).id != read_call(text).id


CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'
TEXTS = st.lists(
    st.sampled_from([BEGIN, END, CALL, f"{BEGIN}{CALL}{END}", "<tool", "_call>", "<", "{", "text "]), max_size=6
).map("".join)


def said(items):
    """Text and calls without the calls' ids; neighbouring text joined, however it was cut."""
    told = []
    for item in items:
        if isinstance(item, ToolCall):
            told.append((item.name, item.arguments))
        elif told and isinstance(told[-1], str):
            told[-1] += item
        else:
            told.append(item)
    return told


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 9), max_size=20))
def test_calls_are_found_however_the_stream_is_cut(text, cuts):
    whole = CallSplitter()
    at_once = said([*whole.feed(text), *whole.finish()])
    splitter, pieces, rest = CallSplitter(), [], text
    for cut in [*cuts, len(text) + 1]:
        pieces += splitter.feed(rest[:cut])
        rest = rest[cut:]
    assert said([*pieces, *splitter.finish()]) == at_once


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_what_is_not_a_call_is_kept_as_the_text_it_is(text):
    words, calls = split_calls(text)
    assert len(words) + sum(len(f"{BEGIN}{CALL}{END}") for _ in calls) == len(text)


def test_tools_are_described_once_at_the_head_of_the_conversation():
    (only,) = (m for m in with_tools([user("Hello")], [CITY], "auto") if m.role == "system")
    assert '"name": "weather"' in only.text
    assert BEGIN in only.text
    first, second = with_tools([system("Be brief."), user("Hello")], [CITY], "required")
    assert first.text.startswith("Be brief.\n\nYou can call these tools")
    assert BEGIN not in first.text
    assert second == user("Hello")


def test_a_plan_constrains_where_the_decoder_can_and_else_uses_its_own_calls():
    able, unable = ScriptedDecoder([]), ScriptedDecoder([], constraints=["regex"])
    talk = [user("Hello")]
    assert plan(able, talk, []).mode == "none"
    assert plan(able, talk, [CITY]).constraint.kind == "structural_tag"
    assert plan(able, talk, [CITY], "required").constraint.kind == "json"
    native = plan(unable, talk, [CITY])
    assert (native.mode, native.constraint, native.tools) == ("native", None, (CITY,))
    assert native.messages == (Message("user", "Hello"),)
    with pytest.raises(ConstraintRefused, match="required"):
        plan(unable, talk, [CITY], "required")
