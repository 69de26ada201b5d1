"""Schemas that others wrote: what a mask cannot follow is left to the validator."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import SchemaError
from agents.foreign import schema_tool
from agents.schema_validator import schema_validator
from agents.schemas import enforceable, whole_pattern
from decoder.constraint import tool_call
from decoder.masking import check_enforced

ODD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "ids": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "contains": {"const": 1}},
        "code": {"type": "string", "pattern": "^a", "minLength": 2},
        "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a"]}]},
        "other": {"not": {"type": "null"}},
    },
    "required": ["ids"],
    "if": {"required": ["code"]},
    "then": {"required": ["both"]},
}


def run(**arguments):
    return arguments


def test_the_decoder_is_held_to_what_can_be_enforced():
    made = schema_tool("odd", "", ODD, run)
    check_enforced(tool_call([made.spec]).value)
    assert made.parameters["properties"]["both"]["required"] == ["a"]
    assert ODD["properties"]["ids"]["uniqueItems"] is True  # the original is as it was


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": [1, 1]}, "ids: .*non-unique"),
        ({"ids": [2]}, "ids: .*contain"),
        ({"ids": [1], "code": "ab"}, "'both' is a required property"),
        ({"ids": [1], "other": None}, "other"),
        ({}, "'ids' is a required property"),
    ],
)
def test_the_rest_is_checked_before_the_call(arguments, message):
    with pytest.raises(ValueError, match=message):
        schema_tool("odd", "", ODD, run).validate(arguments)


def test_what_fits_stays_as_it_was_written():
    assert schema_tool("odd", "", ODD, run).validate({"ids": [1, 2]}) == {"ids": [1, 2]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object", "properties": {"a": {"type": "wrong"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
        {"type": "object", "properties": {"a": {"minimum": "x"}}},
    ],
)
def test_schemas_that_cannot_be_used_are_refused(schema):
    with pytest.raises(SchemaError):
        schema_tool("odd", "", schema, run)


def test_a_schema_of_nothing_takes_nothing():
    assert enforceable({"type": "object"})["properties"] == {}


@pytest.mark.parametrize(
    ("pattern", "whole"),
    [
        ("^a$", "^a$"),
        ("^a", "^a.*$"),
        ("a$", "^.*a$"),
        ("a|b", "^.*(?:a|b).*$"),
        ("^a|b$", "^a|b$"),
        (r"a\$", r"^.*a\$.*$"),
    ],
)
def test_patterns_that_match_the_whole(pattern, whole):
    assert whole_pattern(pattern) == whole


@given(st.sampled_from(["^a", "a$", "a", "a|b", "^ab?", "[0-9]+", r"a\$"]), st.text("ab$1", max_size=6))
def test_a_whole_pattern_matches_what_was_found_before(pattern, text):
    assert bool(re.fullmatch(whole_pattern(pattern), text)) == bool(re.search(pattern, text))


HOSTILE = "a" * 60 + "!"


def of_names(**more):
    return {"type": "object", **more}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (of_names(properties={"x": {"type": "string", "pattern": "^(a+)+$"}}), {"x": "aa"}, {"x": HOSTILE}),
        (of_names(propertyNames={"pattern": "^(a+)+$"}), {"aa": 1}, {HOSTILE: 1}),
        (of_names(patternProperties={"^(a+)+$": {"type": "integer"}}), {"aa": 1, HOSTILE: "x"}, {"aa": "x"}),
        (of_names(patternProperties={"^(a+)+$": {}}, additionalProperties=False), {"aa": 1}, {HOSTILE: 1}),
        (
            of_names(patternProperties={"^b": {}}, additionalProperties={"type": "integer"}, properties={"c": {}}),
            {"b": "x", "c": "x", "d": 1},
            {"d": "x"},
        ),
    ],
)
def test_a_foreign_pattern_is_matched_in_linear_time(schema, good, bad):
    validate = schema_validator(schema)
    assert validate(good) == good
    with pytest.raises(ValueError, match="not"):
        validate(bad)


def test_a_pattern_that_linear_time_does_not_know_is_not_checked_and_names_by_one_are_refused():
    ahead = "^(?=a)"
    validate = schema_validator(of_names(properties={"x": {"type": "string", "pattern": ahead}}))
    assert validate({"x": "b"}) == {"x": "b"}
    with pytest.raises(SchemaError, match="linear time"):
        schema_validator(of_names(patternProperties={ahead: {}}))
    with pytest.raises(SchemaError, match="unevaluatedProperties"):
        schema_validator(of_names(patternProperties={"a": {}}, unevaluatedProperties=False))
