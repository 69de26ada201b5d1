"""What every request passes before it is answered: who is it, not too often, not too many at once. And one log line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.api.errors import LOG, ApiRefusal, error_response
from ui.api.keys import Caller, Keys

OPEN_PATHS = ("/health",)


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What the server takes on.

    Attributes:
        rate: requests a minute for each key, all at once if need be.
        concurrent: requests in the making at one time.
        body: most bytes of a request.
        body_seconds: within which a request's body must have come.
        seconds: within which an answer must be complete.
        inputs: texts of one request for embeddings.
        question: characters of a question to a knowledge base.
    """

    rate: float = 120.0
    concurrent: int = 32
    body: int = 4 << 20
    body_seconds: float = 30.0
    seconds: float = 300.0
    inputs: int = 2048
    question: int = 32_000


@dataclass(slots=True)
class TokenBucket:
    """A request takes a token; tokens come back at `rate` a minute, up to `rate` of them."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    tokens: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.at = max(1.0, self.rate), self.clock()

    def take(self) -> float:
        """0 when there was a token, else the seconds until there is one."""
        now = self.clock()
        self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.at) * self.rate / 60)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) * 60 / self.rate


class Gate:
    """ASGI middleware. Sets `scope["state"]["caller"]`.

    Args:
        hosts: what a server without keys may be called in the Host header, so that a page which has its own name
            point here (DNS rebinding) gets nothing.
        origins: web pages that may ask.
    """

    def __init__(
        self, app: ASGIApp, keys: Keys, limits: ApiLimits, hosts: frozenset[str], origins: tuple[str, ...] = ()
    ) -> None:
        self._app, self._keys, self._limits, self._hosts, self._origins = app, keys, limits, hosts, origins
        self._buckets: dict[str, TokenBucket] = {}
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with what is against it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, name = time.monotonic(), 0, "-"

        async def noting_send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            caller = self._admitted(scope)
            name = caller.name if caller else name
        except ApiRefusal as refusal:
            await error_response(refusal)(scope, receive, noting_send)
        else:
            scope.setdefault("state", {})["caller"] = caller
            self._running += 1
            try:
                await self._app(scope, receive, noting_send)
            finally:
                self._running -= 1
        finally:
            path = scope["path"].encode("unicode_escape", "replace").decode()[:200]
            spent = 1000 * (time.monotonic() - started)
            LOG.info("%s %s %s %d in %.0f ms", name, scope["method"], path, status, spent)

    def _admitted(self, scope: Scope) -> Caller | None:
        if scope["path"] in OPEN_PATHS:
            return None
        headers = Headers(scope=scope)
        if not self._keys:
            self._check_neighbour(headers)
        caller = self._keys.caller(headers.get("authorization", ""))
        bucket = self._buckets.setdefault(caller.name, TokenBucket(self._limits.rate))
        if wait := bucket.take():
            retry = {"Retry-After": str(int(wait) + 1)}
            cause = f"more than {self._limits.rate:g} requests a minute"
            raise ApiRefusal(429, cause, "rate_limit_exceeded", headers=retry)
        if self._running >= self._limits.concurrent:
            raise ApiRefusal(503, "too many requests at once", "overloaded", headers={"Retry-After": "1"})
        return caller

    def _check_neighbour(self, headers: Headers) -> None:
        """Without keys, being on this machine is the only proof, and a browser here may speak for any web page."""
        if _host_name(headers.get("host", "")) not in self._hosts:
            raise ApiRefusal(403, "without keys this server answers to this machine's own names", "forbidden_host")
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise ApiRefusal(403, "web pages may not ask; allow them with --cors-origin", "forbidden_origin")


def _host_name(header: str) -> str:
    """The Host header without its port and brackets, lower case."""
    if header.startswith("["):
        return header[1:].split("]", 1)[0].lower()
    return header.split(":", 1)[0].lower()
