"""Which error an HTTP status and its body mean: vLLM's, OpenAI's, Ollama's and llama.cpp's bodies.

Servers say what is wrong in prose; the phrases below were read in their sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from decoder.errors import (
    ConstraintRefused,
    ContextOverflow,
    DecoderError,
    MalformedResponse,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnknownModel,
)

STEP = "asking the decoder"
LONGEST_CAUSE = 400
_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|max_model_len|maximum model length|exceed_context_size"
    r"|exceeds? (?:the )?(?:available |model's )?context|longer than the (?:maximum|context)",
    re.IGNORECASE,
)
_MODEL = re.compile(r"model_not_found|model\b.{0,200}?\b(?:does not exist|not found)|no such model", re.I | re.S)
_CONSTRAINT = re.compile(
    r"structured.?output|guided|grammar|xgrammar|outlines|regex|json.?schema|response_format|structural.?tag|schema"
    r"|\bebnf\b|\bchoice\b|\bstructure\b",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"insufficient_quota|billing", re.IGNORECASE)


def refusal(
    status: int, body: bytes | str, *, constrained: bool = False, retry_after: float | None = None
) -> DecoderError:
    """The error for an answer of this status (400 to 599, or any other that is not 200).

    Args:
        constrained: the request carried a constraint, which a 400 may be about.
        retry_after: seconds from the Retry-After header.
    """
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    message = message_of(text)
    cause = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (429, 503) and not _QUOTA.search(text):
        return _rate_limited(cause, retry_after)
    if status >= 500 and not _CONTEXT.search(text):  # llama.cpp has said it with a 500
        return ServerFailed(STEP, cause, "Look at the server's log")
    if status >= 400:
        return _refused(status, cause, text, constrained)
    return MalformedResponse(STEP, f"{cause} was not expected", "Check the base URL: it should end in /v1")


def error_in_stream(error: object, *, constrained: bool = False) -> DecoderError:
    """The error for `{"error": …}` sent with status 200, as streams must once they have begun."""
    code = error.get("code") if isinstance(error, Mapping) else None
    status = code if isinstance(code, int) and 400 <= code <= 599 else 500
    return refusal(status, json.dumps({"error": error}), constrained=constrained)


def message_of(body: str) -> str:
    """What an error body says, on one line of at most LONGEST_CAUSE characters."""
    try:
        said = _said(json.loads(body))
    except ValueError:
        said = re.sub(r"<[^>]*>", " ", body)
    line = " ".join(said.split()).rstrip(".")
    return line if len(line) <= LONGEST_CAUSE else line[: LONGEST_CAUSE - 1] + "…"


def _said(answer: Any) -> str:
    """OpenAI, vLLM and llama.cpp: {"error": {"message"}}; Ollama: {"error": "…"}; FastAPI: {"detail"}."""
    if isinstance(answer, Mapping):
        for key in ("error", "message", "detail"):
            if answer.get(key):
                return _said(answer[key])
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _rate_limited(cause: str, retry_after: float | None) -> RateLimited:
    asked = "" if retry_after is None else f" (it asked to wait {retry_after:g} s)"
    error = RateLimited(STEP, cause + asked, "Wait, or send fewer requests at a time")
    error.retry_after = retry_after
    return error


def _refused(status: int, cause: str, text: str, constrained: bool) -> RequestRefused:
    if status in (401, 403):
        return RequestRefused(STEP, cause, "Set HEARTH_DECODER_API_KEY to a key that this server knows")
    if _CONTEXT.search(text):
        return ContextOverflow(STEP, cause, "Shorten the prompt, or lower max_tokens")
    if status in (400, 404) and _MODEL.search(text):
        return UnknownModel(STEP, cause, "Choose one that the server's /v1/models lists")
    if constrained and status in (400, 422) and _CONSTRAINT.search(text):
        return ConstraintRefused(STEP, cause, "Mend the constraint")
    if status == 404:
        return RequestRefused(STEP, cause, "Check the base URL: it should end in /v1")
    return RequestRefused(STEP, cause, "Change the request as the server says")
