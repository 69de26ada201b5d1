"""One request to a decoder's server and its answer, with every way it can fail as a typed error.

Knows HTTP and no deadlines but the connection's: the caller sets those with `asyncio.timeout`.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from decoder.connections import Connection, Connections, Endpoint
from decoder.errors import (
    ConnectFailed,
    DecoderError,
    DecoderTimeout,
    MalformedResponse,
    ServerFailed,
    TruncatedStream,
)
from decoder.refusals import error_in_stream, refusal
from decoder.retry import retry_after
from decoder.sse import EventParser
from decoder.timeouts import Timeouts

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

STEP = "asking the decoder"
SECRET_HEADERS = ("auth", "key", "token", "secret", "cookie")
LARGEST_ERROR_BODY = 65_536
ERROR_BODY_SECONDS = 2.0
LARGE_BODY = 2**20  # aiohttp wants a file, not bytes, from here on


class Transport:
    """Requests to one endpoint."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._connections = Connections(endpoint, timeouts)
        self._timeouts = timeouts
        self._urls: dict[str, URL] = {}
        hidden = [value for name, value in endpoint.headers.items() if any(s in name.lower() for s in SECRET_HEADERS)]
        self._secrets = [word for value in hidden for word in {value, value.removeprefix("Bearer ")} if word]

    async def here(self) -> Connection:
        """The running loop's connection."""
        return await self._connections.here()

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._connections.aclose()

    async def ask(self, method: str, path: str, body: bytes | None = None, *, constrained: bool = False) -> Any:
        """The JSON that the server answers. Raises leaves of DecoderError, all but the deadlines' own."""
        import aiohttp

        failure: DecoderError | None = None
        try:
            response = await self._send(method, path, body, constrained)
            content = await _all_bytes(response)
        except aiohttp.ClientError as error:
            failure = self._typed(error)
        if failure is not None:
            raise failure  # outside `except`, as aiohttp's errors carry our headers along
        kind = response.headers.get("Content-Type", "")
        if "json" not in kind.lower():
            raise self._wrong_type(kind, "application/json", content)
        try:
            return json.loads(content)
        except ValueError as error:
            cause = f"the answer is not JSON: {error}"
        raise MalformedResponse(STEP, cause, "Look at the server's log")

    async def events(self, path: str, body: bytes, *, constrained: bool = False) -> AsyncGenerator[list[str], None]:
        """The data of server-sent events, as many at a time as one read brings. Closing it closes the request."""
        import aiohttp

        failure: DecoderError | None = None
        try:
            response = await self._send("POST", path, body, constrained)
            try:
                async with aclosing(self._batches(response, constrained)) as batches:
                    async for batch in batches:
                        yield batch
            finally:
                response.close()
        except aiohttp.ClientError as error:
            failure = self._typed(error)
        if failure is not None:
            raise failure

    async def _batches(self, response: aiohttp.ClientResponse, constrained: bool) -> AsyncGenerator[list[str], None]:
        kind = response.headers.get("Content-Type", "")
        if "event-stream" not in kind.lower():
            raise self._not_a_stream(kind, await _first_bytes(response), constrained)
        parser = EventParser()
        async for piece in response.content.iter_any():
            if batch := parser.feed(piece):
                yield batch
        if batch := parser.flush():
            yield batch

    async def _send(self, method: str, path: str, body: bytes | None, constrained: bool) -> aiohttp.ClientResponse:
        """A response of status 200 whose body has not been read. Raises aiohttp's errors too."""
        connection = await self._connections.here()
        response = await connection.http.request(
            method,
            self._url(path),
            data=body if body is None or len(body) < LARGE_BODY else io.BytesIO(body),
            headers=_JSON if body is not None else None,
            allow_redirects=False,  # a redirect must not carry the key elsewhere
        )
        if response.status == 200:
            return response
        try:
            raise await self._refusal(response, constrained)
        finally:
            response.close()

    def _url(self, path: str) -> URL:
        """Parsed once: parsing an address costs as much as the rest of a small request."""
        if path not in self._urls:
            from yarl import URL

            self._urls[path] = URL(path if path.startswith("http") else f"{self._endpoint.base_url}/{path}")
        return self._urls[path]

    async def _refusal(self, response: aiohttp.ClientResponse, constrained: bool) -> DecoderError:
        body = (await _first_bytes(response)).decode("utf-8", "replace")
        wait = retry_after(response.headers.get("Retry-After"))
        return refusal(response.status, self._clean(body), constrained=constrained, retry_after=wait)

    def _not_a_stream(self, kind: str, content: bytes, constrained: bool) -> DecoderError:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if isinstance(answer, Mapping) and answer.get("error"):
            return error_in_stream(json.loads(self._clean(json.dumps(answer["error"]))), constrained=constrained)
        return self._wrong_type(kind, "text/event-stream", content)

    def _wrong_type(self, kind: str, wanted: str, content: bytes) -> MalformedResponse:
        start = " ".join(self._clean(content[:200].decode("utf-8", "replace")).split())[:60]
        cause = f"the server answered with {kind or 'no content type'} instead of {wanted}: {start!r}"
        return MalformedResponse(STEP, cause, "Check the base URL: it should end in /v1")

    def _clean(self, text: str) -> str:
        """Servers repeat keys in their messages."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _typed(self, error: aiohttp.ClientError) -> DecoderError:
        import aiohttp

        where, said = self._endpoint.base_url, self._clean(" ".join(str(error).split()))
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            cause = f"{where} took no connection within {self._timeouts.connect:g} s"
            return DecoderTimeout(STEP, cause, "Is the server running there?")
        if isinstance(error, aiohttp.ClientSSLError):
            return ConnectFailed(STEP, f"{where} did not pass the TLS check: {said}", "Set verify to its certificate")
        if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
            return ConnectFailed(STEP, f"the proxy did not connect to {where}", "Check the proxy settings")
        if isinstance(error, aiohttp.ClientConnectorError):
            return ConnectFailed(STEP, f"no server answers at {where}: {said}", "Start it, or mend the base URL")
        if isinstance(error, aiohttp.ClientPayloadError):
            return TruncatedStream(STEP, "the server closed the connection in the middle of its answer", "Ask again")
        if isinstance(error, aiohttp.ClientResponseError):
            return MalformedResponse(
                STEP, f"the answer is not HTTP: {' '.join(error.message.split())[:120]}", "Is this an LLM server?"
            )
        return ServerFailed(STEP, f"the server closed the connection: {said}", "Look at the server's log")


_JSON = {"Content-Type": "application/json"}


async def _all_bytes(response: aiohttp.ClientResponse) -> bytes:
    """The whole body; reading it to its end gives the connection back."""
    try:
        return await response.read()
    except BaseException:
        response.close()
        raise


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    """An error's body as far as it came in time: the status alone is enough to go on."""
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            while len(body) < LARGEST_ERROR_BODY and (piece := await response.content.readany()):
                body += piece
    except TimeoutError:
        body += b" ..."
    return bytes(body)
