"""LangChain's prompts as ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from string import Formatter
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import convert_to_messages
from langchain_core.prompts import (
    AIMessagePromptTemplate,
    ChatMessagePromptTemplate,
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    HumanMessagePromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
    SystemMessagePromptTemplate,
)
from langchain_core.prompts.base import BasePromptTemplate

from decoder.langchain_messages import ROLES, to_messages
from prompts import sandbox
from prompts.errors import InteropError
from prompts.langchain_turns import RenderedTurn
from prompts.template import Prompt
from prompts.turns import Insert, Turn, TurnRole
from prompts.variables import Variable, VariableType

STEP = "reading a LangChain prompt"
_TYPES: Mapping[type, VariableType] = {int: "integer", float: "number", bool: "boolean"}
TEMPLATES: Mapping[TurnRole, Any] = {
    "system": SystemMessagePromptTemplate,
    "user": HumanMessagePromptTemplate,
    "assistant": AIMessagePromptTemplate,
}


def from_langchain(template: BasePromptTemplate[Any], name: str = "from-langchain", purpose: str = "") -> Prompt:
    """A prompt that says what LangChain's says; partial variables become defaults, few-shot examples turns.

    A variable is a string unless its default is of another type: LangChain does not say more.

    Raises:
        InteropError: it selects examples at run time, has pictures, computes partial values, or formats values in a
            way that has no safe equal here.
        MalformedPrompt: a Jinja2 template does more than prompts may.
    """
    found: dict[str, Variable] = {}
    parts = tuple(_from_langchain(template, found))
    return Prompt(name, purpose=purpose, variables=tuple(found.values()), messages=parts, source=name)


def _from_langchain(template: Any, found: dict[str, Variable]) -> Iterator[Turn | Insert]:
    match template:
        case PromptTemplate():
            yield Turn("user", _text(template, found))
        case FewShotChatMessagePromptTemplate():
            if template.example_selector is not None or template.input_variables:
                raise InteropError(STEP, "it chooses its examples at run time", "Use prompts.few_shot")
            yield from _literal(template.format_messages())
        case ChatPromptTemplate():
            for message in template.messages:
                yield from _from_langchain(message, found)
            _default(template.partial_variables, found)
        case BaseMessage():
            yield from _literal([template])
        case _:
            yield _from_message_template(template, found)


def _from_message_template(template: Any, found: dict[str, Variable]) -> Turn | Insert:
    match template:
        case RenderedTurn():
            found.update({variable.name: variable for variable in template.variables})
            part: Turn | Insert = template.part
            return part
        case MessagesPlaceholder() if template.n_messages is None:
            variable = Variable(template.variable_name, "messages")
            found[variable.name] = replace(variable, default=[]) if template.optional else variable
            return Insert(variable.name)
        case ChatMessagePromptTemplate() if ROLES.get(template.role) in TEMPLATES:
            return Turn(ROLES[template.role], _text(template.prompt, found))  # type: ignore[arg-type]  # in TEMPLATES
    for role, kind in TEMPLATES.items():
        if isinstance(template, kind):
            return Turn(role, _text(template.prompt, found))
    raise InteropError(STEP, f"{type(template).__name__} has no equal here", "Write the prompt as a file")


def _literal(messages: Iterable[BaseMessage]) -> Iterator[Turn]:
    for message in to_messages(messages):
        if message.role not in TEMPLATES or message.tool_calls or not isinstance(message.content, str):
            raise InteropError(STEP, "a message holds more than text", "Give it as a value of a placeholder")
        yield Turn(message.role, message.content, literal=True)  # type: ignore[arg-type]  # a key of TEMPLATES


def _text(prompt: Any, found: dict[str, Variable]) -> str:
    if not isinstance(prompt, PromptTemplate):
        raise InteropError(STEP, "a message holds more than one text", "Give pictures as values of a placeholder")
    if prompt.template_format == "f-string":
        text, used = _from_f_string(prompt.template)
    elif prompt.template_format == "jinja2" and not ("{%" in prompt.template or "{#" in prompt.template):
        text, used = prompt.template, list(prompt.input_variables)
    else:
        cause = f"a template of format {prompt.template_format} with more than names"
        raise InteropError(STEP, cause, "Write the prompt as a file, or as an f-string")
    for variable in (*used, *prompt.partial_variables):
        found.setdefault(variable, Variable(variable))
    _default(prompt.partial_variables, found)
    return text


def _from_f_string(template: str) -> tuple[str, list[str]]:
    pieces: list[str] = []
    used: list[str] = []
    for text, field, spec, conversion in Formatter().parse(template):
        pieces.append(sandbox.escape(text))
        if field is None:
            continue
        if spec or conversion:
            raise InteropError(STEP, f"{{{field}}} is formatted", "Format the value before it is given")
        pieces.append(f"{{{{ {field} }}}}")
        used.append(field)
    return "".join(pieces), used


def _default(values: Mapping[str, Any], found: dict[str, Variable]) -> None:
    for name, value in values.items():
        if callable(value):
            raise InteropError(STEP, f"the partial variable {name} is computed", "Give its value to render")
        if name not in found:
            continue
        variable = found[name]
        if variable.type == "messages":
            found[name] = replace(variable, default=to_messages(convert_to_messages(value)))
        elif variable.type == "string" and type(value) in _TYPES:
            found[name] = replace(variable, type=_TYPES[type(value)], default=value)
        else:
            found[name] = replace(variable, default=value)
