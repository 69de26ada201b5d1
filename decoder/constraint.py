"""Builds constraints and checks them early: a malformed one is refused here, before any token is generated.

Knows the five languages (regex, choice, JSON schema, EBNF grammar, structural tag); not how a decoder enforces them.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from decoder.errors import ConstraintRefused
from decoder.schema import STEP, as_mapping, call_schema, check_schema, schema_of
from decoder.types import CONSTRAINT_KINDS, Constraint, Tool

TOOL_CALL_TITLE = "tool call"
# One token of a pattern: an escape, a character class, or any other character.
_REGEX_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|P=)|.", re.DOTALL)
_ROOT_RULE = re.compile(r"^[ \t]*root[ \t]*::=", re.MULTILINE)


def _refused(cause: str, remedy: str = "") -> ConstraintRefused:
    return ConstraintRefused(STEP, cause, remedy)


def regex(pattern: str) -> Constraint:
    """The whole output matches `pattern`, as `re.fullmatch` reads it.

    Raises:
        ConstraintRefused: the pattern is empty or malformed, or uses what no token mask can follow
            (lookaround, backreferences, word boundaries).
    """
    return validate(Constraint("regex", pattern))


def choice(choices: Iterable[str]) -> Constraint:
    """The output is one of `choices`. Raises ConstraintRefused when they are empty, repeated or not strings."""
    if isinstance(choices, str):
        raise _refused("choices are one string", "Give a list of strings")
    return validate(Constraint("choice", tuple(choices)))


def json_schema(schema: Mapping[str, Any] | str | type) -> Constraint:
    """The output is JSON of this schema: a mapping, JSON text, a pydantic model, a dataclass or a TypedDict.

    Raises:
        ConstraintRefused: the schema is malformed, or refers to another document.
        MissingExtra: a class was given, and pydantic, which reads it, is not installed.
    """
    value = as_mapping(schema) if isinstance(schema, (str, Mapping)) else schema_of(schema)
    return validate(Constraint("json", value))


def grammar(ebnf: str) -> Constraint:
    """The output is derived from rule `root` of an EBNF grammar, in the dialect of GBNF that xgrammar reads.

    Raises ConstraintRefused when there is no rule `root`; other mistakes are found by the decoder's own parser.
    """
    return validate(Constraint("grammar", ebnf))


def structural_tag(tag: Mapping[str, Any] | str) -> Constraint:
    """Free text with constrained parts: `{"type": "structural_tag", "format": …}` as xgrammar defines it.

    A string is read as JSON. Raises ConstraintRefused when it is not of that form.
    """
    if isinstance(tag, str):
        try:
            tag = json.loads(tag)
        except ValueError as error:
            raise _refused(f"the structural tag is not JSON ({error})") from error
    return validate(Constraint("structural_tag", tag))


def tool_call(tools: Sequence[Tool]) -> Constraint:
    """The output is one JSON object `{"name": …, "arguments": …}` that calls one of `tools` by its schema.

    Definitions (`$defs`) of the tools' schemas are moved to the root under the tool's name, where their
    references are rewritten to. Raises ConstraintRefused when there is no tool or two share a name.
    """
    names = [tool.name for tool in tools]
    if not names or len(set(names)) != len(names):
        raise _refused("the tools are empty or share a name", "Give at least one tool, each with its own name")
    definitions: dict[str, Any] = {}
    calls = [call_schema(tool, definitions) for tool in tools]
    schema: dict[str, Any] = {"title": TOOL_CALL_TITLE, **(calls[0] if len(calls) == 1 else {"anyOf": calls})}
    if definitions:
        schema["$defs"] = definitions
    return json_schema(schema)


def is_tool_call(constraint: Constraint | None) -> bool:
    """Whether `tool_call` built this constraint, so that what it allows is a call and not an answer."""
    if constraint is None or constraint.kind != "json":
        return False
    return as_mapping(constraint.value).get("title") == TOOL_CALL_TITLE


def validate(constraint: Constraint) -> Constraint:
    """`constraint` itself when it is well-formed. Raises ConstraintRefused with the reason otherwise."""
    value = constraint.value
    match constraint.kind:
        case "regex":
            _check_regex(value)
        case "choice":
            if not isinstance(value, (tuple, list)) or not value or not all(isinstance(c, str) and c for c in value):
                raise _refused("choices must be non-empty strings, at least one", "Give a list of strings")
            if len(set(value)) != len(value):
                raise _refused("a choice is repeated", "Give each once")
        case "json":
            check_schema(value)
        case "grammar":
            if not isinstance(value, str) or not _ROOT_RULE.search(value):
                raise _refused("the grammar has no rule named root", 'Begin with a line such as root ::= "yes" | "no"')
        case "structural_tag":
            _check_structural_tag(value)
        case _:
            raise _refused(f"{constraint.kind!r} is no kind of constraint", f"Kinds: {', '.join(CONSTRAINT_KINDS)}")
    return constraint


def satisfies(constraint: Constraint, text: str) -> bool | None:
    """Whether `text` satisfies the constraint, or None where that cannot be told here.

    Regex, choice and JSON are checked. Without the package `jsonschema` JSON is only parsed: text that is not
    JSON gives False, anything else None. Grammars and structural tags give None.
    """
    match constraint.kind:
        case "regex":
            return re.fullmatch(str(constraint.value), text) is not None
        case "choice":
            return text in constraint.value
        case "json":
            return _is_json_of(constraint.value, text)
        case _:
            return None


def _check_regex(pattern: object) -> None:
    if not isinstance(pattern, str) or not pattern:
        raise _refused("the pattern is empty or not a string", "Give a regular expression")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise _refused(f"the pattern is malformed ({error})") from error
    for token in _REGEX_TOKEN.findall(pattern):
        if token.startswith("(?"):
            raise _refused(f"the pattern uses {token} (lookaround or backreference)", "A token mask cannot follow it")
        if re.fullmatch(r"\\[1-9bB]", token):
            raise _refused(f"the pattern uses {token} (backreference or boundary)", "A token mask cannot follow it")


def _check_structural_tag(tag: object) -> None:
    form = tag.get("format") if isinstance(tag, Mapping) and tag.get("type") == "structural_tag" else None
    if not isinstance(form, Mapping):
        raise _refused("a structural tag has type 'structural_tag' and a format object")
    try:
        json.dumps(tag, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(f"the structural tag cannot be written as JSON ({error})") from error


def _is_json_of(schema: Any, text: str) -> bool | None:
    try:
        value = json.loads(text, strict=False)  # as `toolcalls.read_call` reads it
    except (ValueError, RecursionError):
        return False
    try:
        jsonschema = importlib.import_module("jsonschema")
    except ImportError:
        return None
    plain = json.loads(json.dumps(as_mapping(schema)))
    return bool(jsonschema.Draft202012Validator(plain).is_valid(value))
