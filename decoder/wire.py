"""OpenAI's chat-completion wire format, both ways: our types to a request body, JSON to our types.

Knows JSON and nothing of HTTP; streams are put together in `assembly.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from decoder.errors import ConstraintRefused, MalformedResponse, UsageError
from decoder.presets import VLLM, Fields, Preset
from decoder.types import (
    Choice,
    Completion,
    Constraint,
    FinishReason,
    Message,
    Part,
    Sampling,
    TextPart,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
)

STEP = "reading the decoder's answer"
NEUTRAL: Mapping[str, tuple[float, ...]] = {"top_k": (-1, 0), "min_p": (0.0,), "repetition_penalty": (1.0,)}
FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
PLAIN_SAMPLING = Sampling()


# Requests


def request_body(
    model: str,
    messages: Sequence[Message],
    sampling: Sampling | None = None,
    constraint: Constraint | None = None,
    tools: Sequence[Tool] = (),
    *,
    preset: Preset = VLLM,
    stream: bool = False,
    token_ids: bool = False,
) -> Fields:
    """The JSON body of a chat completion, in this server's dialect.

    Args:
        token_ids: ask for token ids where the server has them; asked for with logprobs in any case.

    Raises:
        ConstraintRefused: this server has no field for the constraint's kind.
        UsageError: it has none for a sampling field that is set.
    """
    body: Fields = {"model": model, "messages": [message_json(m, preset.reasoning) for m in messages]}
    if sampling is not None:
        body.update(_sampling_fields(sampling, preset))
    if constraint is not None:
        body.update(constraint_fields(constraint, preset))
    if tools:
        body["tools"] = [tool_json(tool) for tool in tools]
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if preset.token_ids and (token_ids or "logprobs" in body):
        body["return_token_ids"] = True
    return body


def canonical_request(
    messages: Sequence[Message],
    sampling: Sampling | None = None,
    constraint: Constraint | None = None,
    tools: Sequence[Tool] = (),
    *,
    model: str = "",
) -> Fields:
    """What is asked, whoever is asked and however: the same question gives the same dict in every dialect."""
    return request_body(model, messages, sampling or PLAIN_SAMPLING, constraint, tools, preset=VLLM)


def request_hash(request: Mapping[str, Any]) -> str:
    """SHA-256 of a request, in hexadecimal; the order of keys does not matter, that of lists does."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def message_json(message: Message, reasoning_field: str = "") -> Fields:
    """One message; its reasoning under `reasoning_field`, left out when that is empty."""
    content = message.content
    item: Fields = {
        "role": message.role,
        "content": content if isinstance(content, str) else [_part_json(part) for part in content],
    }
    if message.tool_calls:
        item["tool_calls"] = [tool_call_json(call) for call in message.tool_calls]
        if not content:
            item["content"] = None
    if message.tool_call_id is not None:
        item["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        item["name"] = message.name
    if reasoning_field and message.reasoning is not None:
        item[reasoning_field] = message.reasoning
    return item


def tool_call_json(call: ToolCall) -> Fields:
    """A tool call as an assistant's message carries it."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def tool_json(tool: Tool) -> Fields:
    """A tool as a request offers it."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def constraint_fields(constraint: Constraint, preset: Preset) -> Fields:
    """The body fields that ask this server for the constraint. Raises ConstraintRefused when it has none."""
    write = preset.constraints.get(constraint.kind)
    if write is None:
        kinds = ", ".join(sorted(preset.kinds)) or "none"
        cause = f"a {preset.name} server takes no {constraint.kind} constraint"
        raise ConstraintRefused("preparing the request", cause, f"It takes: {kinds}; vLLM takes them all")
    return write(constraint)


def _part_json(part: Part) -> Fields:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.url}}


def _sampling_fields(sampling: Sampling, preset: Preset) -> Fields:
    fields: Fields = {}
    for name in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"):
        value = getattr(sampling, name)
        if value is not None:
            fields[name] = value
    if sampling.n != 1:
        fields["n"] = sampling.n
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.max_tokens is not None:
        fields[preset.max_tokens] = sampling.max_tokens
    if sampling.logprobs is not None:
        fields["logprobs"] = True
        fields["top_logprobs"] = sampling.logprobs
    fields.update(_own_fields(sampling, preset))
    return fields


def _own_fields(sampling: Sampling, preset: Preset) -> Fields:
    """Fields outside OpenAI's protocol. Dropping one silently would sample from another distribution."""
    fields: Fields = {}
    for name, neutral in NEUTRAL.items():
        value = getattr(sampling, name)
        if value is None:
            continue
        if name in preset.sampling:
            fields[name] = value
        elif value not in neutral:
            cause = f"a {preset.name} server does not take {name}"
            raise UsageError("preparing the request", cause, f"Leave {name} out, or use vLLM")
    return fields


# Answers


def completion_from(answer: object) -> Completion:
    """A whole chat completion. Raises MalformedResponse when the JSON is not one."""
    try:
        if not isinstance(answer, dict):
            raise TypeError(f"a {type(answer).__name__} instead of an object")
        choices = [choice_from(item) for item in answer["choices"]]
        if not choices:
            raise ValueError("no choices")
        if len(choices) > 1:
            choices.sort(key=lambda choice: choice.index)
        return Completion(tuple(choices), usage_from(answer.get("usage")), answer.get("model") or "", answer["id"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise malformed(error) from error


def malformed(error: Exception) -> MalformedResponse:
    """The error for JSON that parses and is not what the protocol promises."""
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return MalformedResponse(STEP, f"it is not a chat completion: {what}", "Check that the base URL is an LLM server's")


def choice_from(item: Mapping[str, Any]) -> Choice:
    """One choice of a whole completion. Raises KeyError, TypeError or ValueError when it is not one."""
    message = item["message"]
    text, reasoning = message.get("content") or "", reasoning_of(message)
    ids, logprobs, calls = item.get("token_ids"), item.get("logprobs"), message.get("tool_calls")
    token_ids = tuple(ids) if ids is not None else None
    if not isinstance(text, str) or not (reasoning is None or isinstance(reasoning, str)):
        raise TypeError("content is not text")
    return Choice(
        text=text,
        finish_reason=finish_reason_from(item["finish_reason"]),
        index=item.get("index", 0),
        token_ids=token_ids,
        logprobs=logprobs_from(logprobs, token_ids) if logprobs else None,
        tool_calls=tuple(_tool_call_from(call) for call in calls) if calls else (),
        reasoning=reasoning,
    )


def finish_reason_from(reason: object) -> FinishReason:
    """Ours for the server's. Raises ValueError for one that is no end of an answer, such as "abort"."""
    if not isinstance(reason, str) or reason not in FINISH_REASONS:
        raise ValueError(f"finish_reason is {reason!r}")
    return FINISH_REASONS[reason]


def reasoning_of(message: Mapping[str, Any]) -> str | None:
    """Reasoning content: `reasoning` (vLLM, Ollama) or `reasoning_content` (llama.cpp, older vLLM)."""
    reasoning: str | None = message.get("reasoning") or message.get("reasoning_content")
    return reasoning or None


def usage_from(usage: Mapping[str, Any] | None) -> Usage:
    """Token counts; zeros when the server gives none."""
    if not usage:
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if details else None
    return Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, cached)


def logprobs_from(logprobs: Mapping[str, Any], token_ids: Sequence[int] | None) -> tuple[TokenLogprob, ...]:
    """Logprobs of a choice or delta; token ids are joined to them where there are as many."""
    content = logprobs.get("content") or ()
    ids: Sequence[int | None] = (None,) * len(content)
    if token_ids is not None and len(token_ids) == len(content):
        ids = token_ids
    return tuple(
        TokenLogprob(
            item["token"],
            float(item["logprob"]),
            token_id,
            tuple((other["token"], float(other["logprob"])) for other in item.get("top_logprobs") or ()),
        )
        for item, token_id in zip(content, ids, strict=True)
    )


def arguments_of(function: Mapping[str, Any]) -> str:
    """A call's arguments as text; some servers send the object itself. Raises TypeError for anything else."""
    arguments = function.get("arguments") or ""
    if isinstance(arguments, Mapping):
        return json.dumps(arguments, ensure_ascii=False)
    if not isinstance(arguments, str):
        raise TypeError("a tool call's arguments are not text")
    return arguments


def _tool_call_from(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(call.get("id") or "", function["name"], arguments_of(function))
