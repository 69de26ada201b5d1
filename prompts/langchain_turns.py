"""The pieces of LangChain prompts: a message template that renders itself, and turns both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import convert_to_messages
from langchain_core.prompts.message import BaseMessagePromptTemplate
from pydantic import ConfigDict

from decoder.langchain_messages import to_messages
from decoder.types import Message
from prompts.budget import Budget
from prompts.errors import InteropError
from prompts.turns import Insert, rendered
from prompts.variables import Variable, resolved


class RenderedTurn(BaseMessagePromptTemplate):
    """A part of a prompt that renders itself: types checked, untrusted text marked, values never read as templates.

    Attributes:
        part: a `Turn` or an `Insert`.
        variables: those that it uses.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    part: Any
    variables: tuple[Any, ...]

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """It is made from a prompt's file, not from LangChain's serialised form."""
        return False

    @property
    def input_variables(self) -> list[str]:
        """Their names."""
        return [variable.name for variable in self.variables]

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """Raises RenderError leaves."""
        given: Mapping[str, Variable] = {v.name: v for v in self.variables if v.name in kwargs}
        values = {name: to_ours(variable, kwargs[name]) for name, variable in given.items()}
        known = resolved(self.variables, values)
        return [from_message(message) for message in rendered(self.part, known, Budget())]

    def pretty_repr(self, html: bool = False) -> str:
        """The template as its file has it."""
        return f"## insert {self.part.variable}" if isinstance(self.part, Insert) else str(self.part.text)


def to_ours(variable: Variable, value: Any) -> Any:
    """A value as this room takes it: a conversation in any of LangChain's forms becomes messages."""
    if variable.type == "messages" and value:
        return to_messages(convert_to_messages(value))
    return value


def from_message(message: Message) -> BaseMessage:
    """A turn as LangChain's message. Raises InteropError for one that calls tools, which prompts do not hold."""
    match message.role:
        case "system":
            return SystemMessage(message.text)
        case "user":
            return HumanMessage(message.text)
        case "tool":
            return ToolMessage(message.text, tool_call_id=message.tool_call_id or "")
    if message.tool_calls:
        raise InteropError("making a LangChain prompt", "a turn calls tools", "Give such turns as LangChain messages")
    return AIMessage(message.text)
