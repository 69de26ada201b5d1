"""`Prompt`: what is said to the decoder, as data, with holes for values. Techniques are functions from one to another.

A prompt is turns in order. The values that change from call to call belong at the end: what stands before the first
of them is rendered to the same bytes each time, and a prefix cache computes it once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decoder.types import Constraint, Message, Sampling
from prompts.budget import Budget
from prompts.check import check
from prompts.errors import RenderError, UnknownValue
from prompts.turns import Insert, Turn, names, rendered
from prompts.variables import STEP, Variable, resolved

if TYPE_CHECKING:
    from prompts.langchain import ChatPromptTemplate
    from prompts.llamaindex import HearthPromptTemplate

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Prompt:
    """A prompt with its variables; made by `prompts.load` from a file, by a technique, or in code.

    Attributes:
        name, version, purpose: what it is called, which edition this is, what it is for.
        variables: its holes, in order.
        schema: the JSON schema that the output has to satisfy.
        sampling: how tokens are drawn unless the caller says otherwise.
        messages: its turns, and the places where turns are inserted.
        output: the class that the output is parsed to, where a technique set one.
        reasons: whether it asks for reasoning before the answer; with a schema, in a first field `reasoning`.
        source: the file, or empty.

    Raises:
        MalformedPrompt: a template is none, uses a variable that is not declared, marks untrusted text without
            the rule that explains the marks, or the schema is no schema.
    """

    name: str
    version: str = "1"
    purpose: str = ""
    variables: tuple[Variable, ...] = ()
    schema: Mapping[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    messages: tuple[Turn | Insert, ...] = ()
    output: Any = None
    reasons: bool = False
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check(self)

    def render(self, **values: Any) -> tuple[Message, ...]:
        """The conversation to complete. A turn that comes out blank is left out.

        Raises:
            MissingValue, UnknownValue, WrongType: the values do not fit the variables.
            TooMuchText: the rendering passed its bounds.
            RenderError: a template failed with these values, or every turn is blank.
        """
        known = self.resolve(values)
        budget = Budget()
        messages = tuple(message for part in self.messages for message in rendered(part, known, budget))
        if not messages:
            raise RenderError(STEP, f"{self.name} renders to nothing", "Give it values that say something")
        return messages

    def resolve(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Every variable's checked value, as templates see it. Raises as `render`."""
        self._refuse_unknown(values)
        known = resolved(self.variables, values, f"rendering {self.name}")
        Budget().admit(known.values())
        return known

    def bind(self, **values: Any) -> Prompt:
        """The same prompt with these values for its variables unless others are given. Raises as `render`."""
        self._refuse_unknown(values)
        bound = tuple(
            dataclasses.replace(variable, default=values[variable.name]) if variable.name in values else variable
            for variable in self.variables
        )
        resolved((variable for variable in bound if variable.name in values), {})
        return dataclasses.replace(self, variables=bound)

    def _refuse_unknown(self, values: Mapping[str, Any]) -> None:
        known = {variable.name for variable in self.variables}
        if unknown := sorted(values.keys() - known):
            remedy = f"Its variables: {', '.join(sorted(known)) or 'none'}"
            raise UnknownValue(STEP, f"{self.name} has no variable {unknown[0]}", remedy)

    @property
    def constraint(self) -> Constraint | None:
        """What the schema demands of the output, or None without one."""
        from decoder.constraint import json_schema

        return None if self.schema is None else json_schema(self.schema)

    @property
    def volatile(self) -> frozenset[str]:
        """The variables whose values change from call to call: all but those with a default or declared stable.

        Conversations and untrusted text change even where they have a default, such as none.
        """
        changing = ("messages", "untrusted")
        return frozenset(v.name for v in self.variables if not v.stable and (v.required or v.type in changing))

    @property
    def stable_turns(self) -> int:
        """How many of `messages` stand before the first that uses a volatile variable."""
        volatile = self.volatile
        return next((at for at, part in enumerate(self.messages) if names(part) & volatile), len(self.messages))

    def to_langchain(self) -> ChatPromptTemplate:
        """As LangChain's template; see `prompts.langchain`."""
        from prompts.langchain import to_langchain

        return to_langchain(self)

    def to_llamaindex(self) -> HearthPromptTemplate:
        """As LlamaIndex's template; see `prompts.llamaindex`."""
        from prompts.llamaindex import to_llamaindex

        return to_llamaindex(self)
