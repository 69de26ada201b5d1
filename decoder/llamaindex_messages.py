"""Conversations between LlamaIndex's messages and ours, both ways. Knows no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ContentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from decoder.errors import MalformedResponse, UsageError
from decoder.types import Completion, ImagePart, Message, Part, Role, TextPart, ToolCall

STEP = "reading LlamaIndex messages"
ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def to_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Raises UsageError for content that no decoder takes, such as audio."""
    return tuple(_to_message(message) for message in messages)


def _to_message(message: ChatMessage) -> Message:
    parts: list[Part] = []
    calls: list[ToolCall] = []
    reasoning: str | None = None
    for block in message.blocks:
        match block:
            case TextBlock():
                parts.append(TextPart(block.text))
            case ImageBlock():
                parts.append(ImagePart(_image_url(block)))
            case ThinkingBlock():
                reasoning = (reasoning or "") + (block.content or "")
            case ToolCallBlock():
                text = json.dumps(arguments_of(block), ensure_ascii=False)
                calls.append(ToolCall(block.tool_call_id or "", block.tool_name, text))
            case _:
                raise UsageError(STEP, f"{block.block_type} content is not taken", "Send text and images")
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    content = "\n".join(texts) if len(texts) == len(parts) else tuple(parts)
    answered = message.additional_kwargs.get("tool_call_id")
    return Message(ROLES[message.role], content, tuple(calls), answered, reasoning)


def _image_url(block: ImageBlock) -> str:
    if block.url is not None:
        return str(block.url)
    encoded = block.resolve_image(as_base64=True).read().decode()
    return f"data:{block.image_mimetype or 'image/png'};base64,{encoded}"


def to_response(text: str, calls: Sequence[ToolCall], reasoning: str, completion: Completion | None) -> ChatResponse:
    """An answer, whole or so far; the tokens are counted once there is a completion."""
    blocks: list[ContentBlock] = [ThinkingBlock(content=reasoning)] if reasoning else []
    if text or not calls:
        blocks.append(TextBlock(text=text))
    for call in calls:
        blocks.append(ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=call.arguments))
    counted: dict[str, Any] = {}
    if completion is not None:
        usage = completion.usage
        counted = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        counted["total_tokens"] = usage.total_tokens
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)
    return ChatResponse(message=message, raw=completion, additional_kwargs=counted)


def arguments_of(block: ToolCallBlock) -> dict[str, Any]:
    """The arguments of a call. Raises MalformedResponse when they are not a JSON object."""
    if isinstance(block.tool_kwargs, dict):
        return block.tool_kwargs
    try:
        arguments = json.loads(block.tool_kwargs or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise MalformedResponse(STEP, f"the arguments of {block.tool_name} are not a JSON object", "Ask again")
    return arguments
