"""Conversations between LangChain's messages and ours, both ways. Knows no model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCall as LangChainToolCall

from decoder.errors import UsageError
from decoder.types import Choice, Completion, ImagePart, Message, Part, Role, TextPart, ToolCall, Usage

STEP = "reading LangChain messages"
ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def to_messages(messages: Iterable[BaseMessage]) -> tuple[Message, ...]:
    """Raises UsageError for a kind of message or content that no decoder takes, such as audio."""
    return tuple(_to_message(message) for message in messages)


def _to_message(message: BaseMessage) -> Message:
    content, reasoning = _content(message)
    name = message.name
    match message:
        case SystemMessage():
            return Message("system", content, name=name)
        case HumanMessage():
            return Message("user", content, name=name)
        case AIMessage():
            calls = tuple(
                ToolCall(call["id"] or "", call["name"], json.dumps(call["args"], ensure_ascii=False))
                for call in message.tool_calls
            )
            return Message("assistant", content, tool_calls=calls, reasoning=reasoning, name=name)
        case ToolMessage():
            return Message("tool", content, tool_call_id=message.tool_call_id, name=name)
        case ChatMessage() if message.role in ROLES:
            return Message(ROLES[message.role], content, name=name)
    raise UsageError(STEP, f"{type(message).__name__} has no place in a conversation", "Use a message of another kind")


def _content(message: BaseMessage) -> tuple[str | tuple[Part, ...], str | None]:
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(message.content, str):
        return message.content, reasoning
    parts: list[Part] = []
    for block in message.content:
        if isinstance(block, str):
            parts.append(TextPart(block))
            continue
        match block.get("type"):
            case "text" | "text-plain":
                parts.append(TextPart(str(block.get("text", ""))))
            case "image_url" | "image":
                parts.append(ImagePart(_image_url(block)))
            case "reasoning" | "thinking":
                reasoning = f"{reasoning or ''}{block.get('reasoning') or block.get('thinking') or ''}"
            case "tool_use" | "tool_call":
                continue  # said again in the message's tool_calls
            case kind:
                raise UsageError(STEP, f"content of type {kind!r} is not taken", "Send text and images")
    if all(isinstance(part, TextPart) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart)), reasoning
    return tuple(parts), reasoning


def _image_url(block: Mapping[str, Any]) -> str:
    """Of an image block in OpenAI's, Anthropic's or LangChain's own form. Raises UsageError."""
    inner = block.get("image_url") or block.get("source") or block
    if isinstance(inner, str):
        return inner
    if url := inner.get("url"):
        return str(url)
    data = inner.get("base64") or inner.get("data")
    kind = inner.get("mime_type") or inner.get("media_type") or "image/png"
    if not data:
        raise UsageError(STEP, "an image has neither an address nor data", "Give a url or base64 data")
    return f"data:{kind};base64,{data}"


def to_ai_message(completion: Completion, choice: Choice, text: str, calls: Iterable[ToolCall]) -> AIMessage:
    """One choice as LangChain's message; arguments that are not a JSON object go to `invalid_tool_calls`."""
    good, bad = to_tool_calls(calls)
    return AIMessage(
        content=text,
        tool_calls=good,
        invalid_tool_calls=bad,
        usage_metadata=to_usage(completion.usage),
        response_metadata=metadata(completion, choice),
        additional_kwargs={"reasoning_content": choice.reasoning} if choice.reasoning else {},
        id=completion.id or None,
    )


def to_tool_calls(calls: Iterable[ToolCall]) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    """LangChain's parsed calls, and those that cannot be parsed."""
    good: list[LangChainToolCall] = []
    bad: list[InvalidToolCall] = []
    for call in calls:
        try:
            arguments = json.loads(call.arguments)
            if not isinstance(arguments, dict):
                raise ValueError("the arguments are not an object")
            good.append(LangChainToolCall(name=call.name, args=arguments, id=call.id, type="tool_call"))
        except ValueError as error:
            why = str(error)
            bad.append(
                InvalidToolCall(name=call.name, args=call.arguments, id=call.id, error=why, type="invalid_tool_call")
            )
    return good, bad


def to_usage(usage: Usage) -> UsageMetadata:
    """Token counts as LangChain names them."""
    counted = UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens
    )
    if usage.cached_tokens is not None:
        counted["input_token_details"] = InputTokenDetails(cache_read=usage.cached_tokens)
    return counted


def metadata(completion: Completion, choice: Choice) -> dict[str, Any]:
    """What LangChain keeps beside a message: model, provider, finish reason, logprobs."""
    said: dict[str, Any] = {
        "model_name": completion.model,
        "model_provider": "hearth",
        "finish_reason": choice.finish_reason,
    }
    if choice.logprobs is not None:
        said["logprobs"] = {"content": [{"token": t.token, "logprob": t.logprob} for t in choice.logprobs]}
    return said
