"""Prompts as LangChain's, and (in `langchain_reading.py`) LangChain's as ours.

Of LangChain's three formats only f-strings are used: they put text in place of names and do nothing else, so values
are data, and a brace in the text is written twice. Its Jinja2 lets a template call methods of the values, so it
is never used: a turn with conditions, loops or untrusted text becomes a message template that renders itself by this
room's own rules. What is said is the same either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from decoder.errors import MissingExtra

try:
    from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
except ImportError as error:
    raise MissingExtra("making a LangChain prompt", "langchain-core", "langchain") from error

from decoder.types import Message
from prompts import sandbox
from prompts.langchain_reading import TEMPLATES, from_langchain
from prompts.langchain_turns import RenderedTurn, from_message
from prompts.template import Prompt
from prompts.turns import Insert, Turn, names
from prompts.variables import Variable, as_turns, checked

__all__ = ["ChatPromptTemplate", "from_langchain", "to_langchain"]
_PRINTED = ("string", "integer", "number", "boolean")
"""Types that f-strings and Jinja2 print alike."""


def to_langchain(prompt: Prompt) -> ChatPromptTemplate:
    """A chat prompt that says what `prompt.render` says; variables with defaults are its partial variables."""
    variables = {variable.name: variable for variable in prompt.variables}
    messages = [message for part in prompt.messages for message in _to_langchain(part, variables)]
    used = frozenset[str]().union(*map(names, prompt.messages))
    partial = {
        name: _theirs(variable) for name, variable in variables.items() if name in used and not variable.required
    }
    return ChatPromptTemplate(messages, partial_variables=partial)


def _to_langchain(part: Turn | Insert, variables: Mapping[str, Variable]) -> Iterator[Any]:
    used = tuple(variables[name] for name in sorted(names(part)))
    if isinstance(part, Insert):
        if used[0].type == "messages":
            yield MessagesPlaceholder(part.variable, optional=not used[0].required)
        else:
            yield RenderedTurn(part=part, variables=used)
    elif part.literal:
        yield from_message(Message(part.role, part.text))
    elif (text := _f_string(part.text, variables)) is not None:
        yield TEMPLATES[part.role].from_template(text)
    else:
        yield RenderedTurn(part=part, variables=used)


def _f_string(text: str, variables: Mapping[str, Variable]) -> str | None:
    """The template as an f-string, or None when it does more than print simple values."""
    pieces: list[str] = []
    for kind, piece in sandbox.outline(text):
        if kind == "text":
            pieces.append(piece.replace("{", "{{").replace("}", "}}"))
        elif kind == "name" and piece in variables and variables[piece].type in _PRINTED:
            pieces.append(f"{{{piece}}}")
        else:
            return None
    return "".join(pieces)


def _theirs(variable: Variable) -> Any:
    if variable.type == "messages" and variable.default is not None:
        return [from_message(message) for message in as_turns(checked(variable, variable.default))]
    return variable.default
