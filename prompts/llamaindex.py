"""Prompts as LlamaIndex's, for query engines and agents. They render by this room's rules and not by LlamaIndex's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from decoder.errors import MissingExtra

try:
    from llama_index.core.base.llms.base import BaseLLM
    from llama_index.core.base.llms.generic_utils import messages_to_prompt as default_messages_to_prompt
    from llama_index.core.base.llms.types import ChatMessage, MessageRole
    from llama_index.core.prompts import BasePromptTemplate, PromptType
except ImportError as error:
    raise MissingExtra("making a LlamaIndex prompt", "llama-index-core", "rag") from error

from decoder.llamaindex_messages import to_messages
from decoder.types import Message
from prompts.template import Prompt
from prompts.turns import as_sections


class HearthPromptTemplate(BasePromptTemplate):
    """A prompt that LlamaIndex formats: types checked, untrusted text marked, values never read as templates.

    Values that the prompt has no variable for are left out, as LlamaIndex's own templates leave them out.

    Attributes:
        prompt: what is rendered; `partial_format` binds its variables.
    """

    prompt: Any

    def partial_format(self, **kwargs: Any) -> HearthPromptTemplate:
        """The same with these values as defaults. Raises RenderError leaves."""
        return self.model_copy(update={"prompt": self.prompt.bind(**self._ours(self._map_all_vars(kwargs)))})

    def format_messages(self, llm: BaseLLM | None = None, **kwargs: Any) -> list[ChatMessage]:
        """Raises RenderError leaves."""
        rendered = self.prompt.render(**self._ours(self._map_all_vars(kwargs)))
        messages = [_theirs(message) for message in rendered]
        return self.output_parser.format_messages(messages) if self.output_parser is not None else messages

    def format(
        self,
        llm: BaseLLM | None = None,
        messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
        **kwargs: Any,
    ) -> str:
        """The conversation as one text. Raises RenderError leaves."""
        return (messages_to_prompt or default_messages_to_prompt)(self.format_messages(**kwargs))

    def get_template(self, llm: BaseLLM | None = None) -> str:
        """The turns' templates, as a prompt's file has them."""
        return as_sections(self.prompt.messages)

    def _ours(self, values: dict[str, Any]) -> dict[str, Any]:
        kinds = {variable.name: variable.type for variable in self.prompt.variables}
        return {
            name: to_messages([ChatMessage.model_validate(item) for item in value])
            if kinds[name] == "messages" and value
            else value
            for name, value in values.items()
            if name in kinds
        }


def to_llamaindex(prompt: Prompt) -> HearthPromptTemplate:
    """`prompt` for LlamaIndex; its required variables are the template's."""
    return HearthPromptTemplate(
        prompt=prompt,
        template_vars=[variable.name for variable in prompt.variables if variable.required],
        kwargs={},
        metadata={"prompt_type": PromptType.CUSTOM, "name": prompt.name, "version": prompt.version},
        output_parser=None,
    )


def _theirs(message: Message) -> ChatMessage:
    answered = {"tool_call_id": message.tool_call_id} if message.tool_call_id else {}
    return ChatMessage(role=MessageRole(message.role), content=message.text, additional_kwargs=answered)
