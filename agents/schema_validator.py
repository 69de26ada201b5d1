"""Checks arguments against a JSON schema that somebody else wrote. No schema is ever fetched."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from agents.errors import SchemaError
from agents.linear_patterns import STEP, check_patterns, with_linear_patterns
from decoder.errors import ConstraintRefused, MissingExtra
from decoder.schema import check_schema

MOST_ERRORS = 4
LONGEST_MESSAGE = 160


def schema_validator(schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """A validator that gives the arguments as they are, or raises ValueError with where and what.

    Patterns are matched in linear time; what they cannot say so is not checked (`linear_patterns.py`).

    Raises SchemaError for a schema that is malformed, refers to other documents, names properties by a pattern that
    cannot be matched, or is of no object; MissingExtra.
    """
    try:
        jsonschema = importlib.import_module("jsonschema")
        from referencing import Registry
    except ImportError as error:
        raise MissingExtra(STEP, "jsonschema", "agents") from error
    if schema.get("type", "object") != "object":
        raise SchemaError(STEP, f"the arguments are of type {schema['type']!r}", "Arguments are an object")
    try:
        check_schema(schema)
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        kind.check_schema(schema)
    except ConstraintRefused as error:
        raise SchemaError(STEP, error.cause, error.remedy) from error
    except jsonschema.SchemaError as error:
        raise SchemaError(STEP, f"it is malformed ({error.message[:LONGEST_MESSAGE]})", "Mend the schema") from error
    check_patterns(schema)
    checker = with_linear_patterns(kind)(
        schema, registry=Registry()
    )  # a registry of nothing: references to other documents fail

    def validate(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        errors = sorted(checker.iter_errors(arguments), key=lambda error: list(map(str, error.absolute_path)))
        if errors:
            raise ValueError("; ".join(_told(error) for error in errors[:MOST_ERRORS]))
        return dict(arguments)

    return validate


def _told(error: Any) -> str:
    where = ".".join(str(step) for step in error.absolute_path)
    message = error.message if len(error.message) <= LONGEST_MESSAGE else f"{error.message[:LONGEST_MESSAGE]}…"
    return f"{where}: {message}" if where else message
