"""Does the server enforce constraints, or does it take them and say nothing?

Old fields, old versions and lenient gateways ignore what they do not know and answer 200. So before the first
constraint of a kind, the server is asked for something that a model would not say by itself; and every
constrained text is looked at once more, as far as that is cheap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decoder.errors import ConstraintIgnored
from decoder.types import Choice, Constraint, ConstraintKind, Message, Sampling

STEP = "checking that constraints are enforced"
REMEDY = "Use a server that enforces it (vLLM 0.11 or newer), or pass unverified_constraints=True to go on without"
PROMPT = (Message("user", "Say hello to me in one short sentence."),)
SAMPLING = Sampling(temperature=0.0, max_tokens=64)
THINKING = Sampling(temperature=0.0, max_tokens=2048)  # for models that reason before they answer
LONGEST_CHECKED = 20_000
COSTLIEST_MATCH = 1e7
_WORDS = ("ember-7351-kiln", "cinder-2290-flue")


@dataclass(frozen=True, slots=True)
class Probe:
    """A constraint, and all the texts that satisfy it (compared without white space)."""

    constraint: Constraint
    allowed: tuple[str, ...]

    def passed_by(self, choice: Choice) -> bool:
        """The text is allowed, or was cut off by max_tokens on the way to an allowed one."""
        text = "".join(choice.text.split())
        if choice.finish_reason == "length":
            return bool(text) and any(allowed.startswith(text) for allowed in self.allowed)
        return text in self.allowed


def probe(kind: ConstraintKind) -> Probe:
    """The probe of one kind."""
    one, other = _WORDS
    schema = {
        "type": "object",
        "properties": {"hearth": {"type": "string", "enum": [one]}},
        "required": ["hearth"],
        "additionalProperties": False,
    }
    tag = {"type": "structural_tag", "format": {"type": "const_string", "value": one}}
    values: Mapping[ConstraintKind, tuple[Any, tuple[str, ...]]] = {
        "regex": ("(ember-7351-kiln|cinder-2290-flue)", _WORDS),
        "choice": (_WORDS, _WORDS),
        "json": (schema, (json.dumps({"hearth": one}, separators=(",", ":")),)),
        "grammar": (f'root ::= "{one}" | "{other}"', _WORDS),
        "structural_tag": (tag, (one,)),
    }
    value, allowed = values[kind]
    return Probe(Constraint(kind, value), allowed)


def ignored(kind: ConstraintKind, text: str) -> ConstraintIgnored:
    """The error for a server that answered `text` to a constraint of this kind."""
    said = " ".join(text.split())[:80]
    return ConstraintIgnored(STEP, f"the server took a {kind} constraint and answered {said!r}", REMEDY)


def violates(constraint: Constraint, choice: Choice) -> bool:
    """The finished text certainly does not satisfy the constraint. Cheap, so not every violation is seen."""
    if choice.finish_reason != "stop" or len(choice.text) > LONGEST_CHECKED:
        return False
    value, text = constraint.value, choice.text
    if constraint.kind == "choice":
        return text.strip() not in {option.strip() for option in ((value,) if isinstance(value, str) else value)}
    if constraint.kind == "regex":
        return isinstance(value, str) and _mismatches(value, text)
    return constraint.kind == "json" and _is_no_instance(value, text)


def _mismatches(pattern: str, text: str) -> bool:
    """Compared as loosely as servers' dialects differ: `.` takes newlines; outer white space may be a template's."""
    if _matching_cost(pattern, len(text)) > COSTLIEST_MATCH:
        return False
    try:
        compiled = re.compile(pattern, re.DOTALL)
    except re.error:
        return False  # another dialect: the server knows it, Python does not
    return compiled.fullmatch(text) is None and compiled.fullmatch(text.strip()) is None


def _matching_cost(pattern: str, length: int) -> float:
    """A bound on the steps of a backtracking match: one loop per repetition, two branches per option.

    A repeated group may hold repetitions itself, and then there is no useful bound.
    """
    if re.search(r"\)\s*[*+{]", pattern):
        return float("inf")
    return float(max(length, 2)) ** min(20, len(re.findall(r"[*+{]", pattern))) * 2.0 ** min(99, pattern.count("?"))


def _is_no_instance(schema: object, text: str) -> bool:
    """Not JSON, or wrong in the outermost layer of the schema: its type, enum, const and required keys."""
    try:
        value = json.loads(text, strict=False)  # as `toolcalls.read_call` reads it
        schema = json.loads(schema) if isinstance(schema, str) else schema
    except ValueError:
        return True
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "object" and not isinstance(value, dict):
        return True
    if schema.get("type") == "array" and not isinstance(value, list):
        return True
    if isinstance(value, dict) and any(key not in value for key in schema.get("required", ())):
        return True
    return ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"])
