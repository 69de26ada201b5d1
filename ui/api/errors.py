"""Every error as OpenAI's clients expect it: a status and `{"error": {"message", "type", "param", "code"}}`.

What is the caller's to mend is explained to the caller. What is ours is logged, and the caller learns its kind alone:
paths, addresses and tracebacks stay on this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from decoder.errors import (
    ConstraintRefused,
    ContextOverflow,
    DecoderError,
    DecoderTimeout,
    HearthError,
    MissingExtra,
    RateLimited,
    RequestRefused,
    SettingsError,
    UnknownModel,
    UsageError,
)
from rag.errors import EmbedderError, IndexLocked, IndexMismatch, IndexNotFound, QuestionTooLong, StoreFailed

LOG = logging.getLogger("hearth.api")
BUSY = "the knowledge base cannot be read at the moment"
BROKEN = "the server is not set up for this; its log says why"
KINDS: tuple[tuple[type[BaseException], int, str, str], ...] = (
    (IndexNotFound, 404, "model_not_found", "there is no such model"),
    (QuestionTooLong, 400, "context_length_exceeded", ""),
    (ContextOverflow, 400, "context_length_exceeded", "messages and max_tokens exceed the model's context"),
    (ConstraintRefused, 400, "unsupported_response_format", "the decoder cannot keep this response format"),
    (IndexLocked, 503, "busy", BUSY),
    (StoreFailed, 503, "index_failed", BUSY),
    (IndexMismatch, 500, "server_misconfigured", BROKEN),
    (EmbedderError, 500, "server_misconfigured", BROKEN),
    (MissingExtra, 500, "server_misconfigured", BROKEN),
    (SettingsError, 500, "server_misconfigured", BROKEN),
    (RateLimited, 429, "decoder_overloaded", "the decoder is overloaded"),
    (DecoderTimeout, 504, "decoder_timeout", "the decoder did not answer in time"),
    (UnknownModel, 502, "decoder_failed", "the decoder does not have the model that it was set up for"),
    (RequestRefused, 400, "decoder_refused", "the decoder refused the request"),
    (DecoderError, 502, "decoder_failed", "the decoder failed"),
    (UsageError, 400, "invalid_request", ""),
    (TimeoutError, 504, "timeout", "the answer took longer than this server allows"),
)
"""The first that fits counts. An empty message means the error's own, which is about the request."""
BUG = (500, "internal_error", "something went wrong here; the server's log says what")


class ApiRefusal(UsageError):
    """A request that is not answered.

    Args:
        status: of HTTP.
        cause: told to the caller.
        code: for programs.
        param: the field of the request that it is about.
        headers: sent along, such as Retry-After.
    """

    def __init__(
        self, status: int, cause: str, code: str, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("answering the request", cause)
        self.status, self.code, self.param, self.headers = status, code, param, dict(headers or {})


def bad(param: str, cause: str) -> ApiRefusal:
    """The refusal of a request whose field `param` cannot be used."""
    return ApiRefusal(400, f"{param}: {cause}", "invalid_request", param)


def describe(error: BaseException) -> tuple[int, dict[str, Any], dict[str, str]]:
    """An error as status, body and headers; logs what the caller is not told."""
    if isinstance(error, ApiRefusal):
        return error.status, _body(error.status, error.cause, error.code, error.param), error.headers
    fitting = (found[1:] for found in KINDS if isinstance(error, found[0]))
    status, code, message = next(fitting, BUG)
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(int(error.retry_after or 1))
    if status >= 500 or status == 429:
        _log(error)
    own = error.cause if isinstance(error, HearthError) else ""
    return status, _body(status, message or own, code), headers


def error_response(error: BaseException) -> JSONResponse:
    """The response for an error."""
    status, body, headers = describe(error)
    return JSONResponse(body, status, headers)


def _body(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _log(error: BaseException) -> None:
    """One line for what we know; the traceback for what we do not."""
    if isinstance(error, (HearthError, TimeoutError)):
        LOG.error("%s: %s", type(error).__name__, " ".join(str(error).split()))
    else:
        LOG.error("a bug", exc_info=error)
