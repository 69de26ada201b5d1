"""A tool: a function with a JSON schema, a declared effect and a timeout. `@tool` makes one of a typed function.

Knows nothing of the loop that calls it. Reading a signature is `signature.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

from agents.errors import ToolError
from agents.events import EFFECTS, Effect
from decoder import types

STEP = "making a tool"
Function: TypeAlias = Callable[..., Any]
FINAL_ANSWER = "final_answer"


@dataclass(frozen=True, slots=True)
class Tool:
    """What an agent may call.

    Attributes:
        name: letters, digits, `_`, `-` and `.`, at most 64.
        description: what it does, for the decoder.
        parameters: JSON schema of the arguments, an object.
        run: called with the validated arguments by keyword; a result, or an awaitable of one. A plain function
            runs in a thread, so that it cannot hold up the loop; its thread cannot be killed when time is up.
        validate: generated arguments to those that `run` takes; raises ValueError with a message for the decoder.
        effect: "read" changes nothing, "write" changes something, "egress" sends something away. What is not
            declared counts as "write".
        timeout: seconds.
        trusted: the result is vouched for and does not taint. Numbers, booleans and None never do.
        idempotent: may be called again when it is not known whether a first call took effect.
        max_characters: of the result that is shown; the rest is left out with a notice.
        final: its result is the agent's answer, and ends the run.
        foreign: its description was written by someone who is not vouched for. It stands in the prompt from the
            start, so a run that has such a tool is tainted from the start.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[..., Awaitable[Any] | Any] = field(repr=False)
    validate: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=dict, repr=False)
    effect: Effect = "write"
    timeout: float = 60.0
    trusted: bool = False
    idempotent: bool = False
    max_characters: int = 8_000
    final: bool = False
    foreign: bool = False

    def __post_init__(self) -> None:
        plain = self.name.translate(str.maketrans("_-.", "aaa"))
        if not (plain.isascii() and plain.isalnum()) or len(self.name) > 64:
            raise ToolError(STEP, f"{self.name!r} is no name for a tool", "Use letters, digits, _ - and ., at most 64")
        if self.name == FINAL_ANSWER:
            raise ToolError(STEP, f"{FINAL_ANSWER} is the agent's own", "Choose another name")
        if self.effect not in EFFECTS:
            raise ToolError(STEP, f"{self.effect!r} is no effect", f"Effects: {', '.join(EFFECTS)}")
        if self.timeout <= 0 or self.max_characters < 1:
            raise ToolError(STEP, f"{self.name}: timeout and max_characters must be above 0", "Mend them")

    @property
    def spec(self) -> types.Tool:
        """As a decoder is told of it."""
        return types.Tool(self.name, self.description, self.parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, for code that is no agent."""
        return self.run(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A result that says by itself whether it taints, in place of what its tool declares."""

    value: Any
    untrusted: bool


@overload
def tool(function: Function) -> Tool: ...
@overload
def tool(function: None = None, **options: Any) -> Callable[[Function], Tool]: ...
def tool(function: Function | None = None, **options: Any) -> Tool | Callable[[Function], Tool]:
    """Make a tool of a typed function, sync or async.

    The schema comes from the hints, the descriptions from the docstring (Google, NumPy or Sphinx style). Options are
    the fields of `Tool`: `@tool(effect="read", timeout=5)`.

    Raises:
        SchemaError: a parameter has no hint, or one that has no JSON schema.
        ToolError: an option is unknown or wrong.
    """

    def make(function: Function) -> Tool:
        from agents.signature import read_signature

        unknown = options.keys() - Tool.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(Tool.__dataclass_fields__)
            raise ToolError(STEP, f"unknown options: {', '.join(sorted(unknown))}", f"Known: {known}")
        return read_signature(function, **options)

    return make if function is None else make(function)


def fingerprint(tools: Sequence[Tool], answer: Mapping[str, Any]) -> str:
    """sha256 of what tools promise and what the answer may be: a run that is resumed goes on with the same."""
    promises = [
        [t.name, t.description, t.parameters, t.effect, t.idempotent, t.trusted, t.final, t.foreign] for t in tools
    ]
    return hashlib.sha256(json.dumps([promises, answer], default=str).encode()).hexdigest()
