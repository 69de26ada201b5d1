"""Completions as OpenAI's clients read them: whole, or in chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from decoder.types import Choice, Completion, TokenLogprob, Usage
from decoder.wire import tool_call_json


@dataclass(frozen=True, slots=True)
class Reply:
    """What all parts of one reply share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[dict[str, Any]], usage: Usage, **more: Any) -> dict[str, Any]:
        """A `chat.completion`."""
        return {**self._head("chat.completion"), "choices": list(choices), "usage": usage_json(usage), **more}

    def chunk(self, delta: dict[str, Any], index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
        """A `chat.completion.chunk` of one choice; `more` stands beside the choices."""
        logprobs = more.pop("logprobs", None)
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **more}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The last chunk of a stream that was asked for its usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_json(usage)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def choice_json(index: int, content: str | None, finish: str, **message: Any) -> dict[str, Any]:
    """A choice of a whole reply; `message` are further fields of its message."""
    return {
        "index": index,
        "message": {"role": "assistant", "content": content, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": finish,
    }


def completion_choices(completion: Completion) -> list[dict[str, Any]]:
    """The choices of a decoder's completion."""
    return [_of_decoder(choice) for choice in completion.choices]


def logprobs_json(tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    """Log-probabilities of tokens; None for none."""
    return {"content": [_token(token) for token in tokens]} if tokens else None


def usage_json(usage: Usage) -> dict[str, Any]:
    """Tokens counted."""
    found: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        found["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    return found


def _of_decoder(choice: Choice) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if choice.tool_calls:
        more["tool_calls"] = [tool_call_json(call) for call in choice.tool_calls]
    if choice.reasoning:
        more["reasoning_content"] = choice.reasoning
    content = choice.text if choice.text or not choice.tool_calls else None
    found = choice_json(choice.index, content, choice.finish_reason, **more)
    return {**found, "logprobs": logprobs_json(choice.logprobs or ())}


def _token(token: TokenLogprob) -> dict[str, Any]:
    def one(text: str, logprob: float) -> dict[str, Any]:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}

    return {**one(token.token, token.logprob), "top_logprobs": [one(*each) for each in token.top]}
