"""What must hold of a prompt before it is rendered: its templates are read, its names declared, its marks explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from decoder.errors import ConstraintRefused
from prompts import sandbox
from prompts.errors import MalformedPrompt
from prompts.turns import Insert, Turn, names
from prompts.untrusted import UNTRUSTED_RULE
from prompts.variables import INSERTED, Variable

if TYPE_CHECKING:
    from prompts.template import Prompt

VARIABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
RESERVED = sandbox.GLOBALS | {"loop", "self"}


def check(prompt: Prompt) -> None:
    """Raise MalformedPrompt, with the line of a prompt's file, for what cannot be used."""
    source = prompt.source or prompt.name
    if not prompt.messages:
        raise MalformedPrompt(source, 1, "it has no turns", "Write a line `## user` and what the user says")
    declared = _declared(prompt, source)
    for part in prompt.messages:
        _check_names(part, declared, source)
    if any(_marks(part, declared) for part in prompt.messages) and not any(map(_explains, prompt.messages)):
        cause = "it marks untrusted text and does not explain the marks"
        raise MalformedPrompt(source, 1, cause, f"Write {{{{ {sandbox.RULE} }}}} under ## system")
    try:
        _ = prompt.constraint
    except ConstraintRefused as error:
        raise MalformedPrompt(source, 1, f"output: {error.cause}", error.remedy) from error


def _declared(prompt: Prompt, source: str) -> dict[str, Variable]:
    declared = {variable.name: variable for variable in prompt.variables}
    if len(declared) < len(prompt.variables):
        raise MalformedPrompt(source, 1, "a variable is declared twice", "Declare each once")
    for name in declared:
        if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
            remedy = "Use letters, digits and _, beginning with a letter"
            raise MalformedPrompt(source, 1, f"{name!r} cannot name a variable", remedy)
    return declared


def _check_names(part: Turn | Insert, declared: Mapping[str, Variable], source: str) -> None:
    try:
        used = names(part)
    except sandbox.BadTemplate as error:
        raise MalformedPrompt(source, part.line + error.line - 1, error.reason) from error
    for name in sorted(used):
        if name not in declared:
            raise MalformedPrompt(source, part.line, f"{name} is used and not declared", "Declare it under variables")
        if (kind := declared[name].type) in INSERTED and isinstance(part, Turn):
            remedy = f"Give it a place of its own: ## insert {name}"
            raise MalformedPrompt(source, part.line, f"{name} is of type {kind} and used as text", remedy)
        if kind not in INSERTED and isinstance(part, Insert):
            remedy = f"Insert types {' and '.join(INSERTED)} alone"
            raise MalformedPrompt(source, part.line, f"{name} is of type {kind} and inserted as turns", remedy)


def _marks(part: Turn | Insert, declared: Mapping[str, Variable]) -> bool:
    if isinstance(part, Insert) or part.literal:
        return False
    used = names(part)
    return sandbox.compiled(part.text).marks or any(declared[name].type == "untrusted" for name in used)


def _explains(part: Turn | Insert) -> bool:
    if isinstance(part, Insert):
        return False
    return UNTRUSTED_RULE in part.text or (not part.literal and sandbox.compiled(part.text).explains)
