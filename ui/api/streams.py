"""Server-sent events, and work that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ui.api.errors import ApiRefusal, describe

T = TypeVar("T")
Chunk = Mapping[str, Any] | None
"""A chunk of the reply, or None for a sign of life that clients skip."""
DONE = b"data: [DONE]\n\n"
ALIVE = b": working\n\n"
SECONDS_BETWEEN_SIGNS = 5.0


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What `work` returns; it is cancelled when the client leaves or `seconds` are over.

    Raises:
        ApiRefusal: the client went away (nobody will read it).
        TimeoutError: it took too long.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        done, _ = await asyncio.wait({working, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            return working.result()
        if gone in done:
            raise ApiRefusal(499, "the client went away", "client_gone")
        raise TimeoutError
    finally:
        await _cancel(working, gone)


class EventStream(Response):
    """Chunks as server-sent events. An error among them becomes an event, and the end of the stream.

    Args:
        first: the first chunk, which has been waited for, so that errors before it have a status of their own.
        chunks: the rest; closed when the client leaves.
        seconds: within which it must be complete.
    """

    media_type = "text/event-stream"

    def __init__(self, first: Chunk, chunks: AsyncGenerator[Chunk], seconds: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first, self._chunks, self._seconds = first, chunks, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, unless the client leaves."""
        try:
            await unless_gone(receive, self._pump(send), self._seconds)
        except ApiRefusal:
            return  # it left, and what was made for it has been cancelled
        except TimeoutError as error:
            await send({"type": "http.response.body", "body": _error(error)})

    async def _pump(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._chunks):
                await self._send(send, self._first)
                async for chunk in self._chunks:
                    await self._send(send, chunk)
            end = DONE
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001  # the status is sent already: the error has to go in the stream
            end = _error(error)
        await send({"type": "http.response.body", "body": end})

    async def _send(self, send: Send, chunk: Chunk) -> None:
        data = ALIVE if chunk is None else b"data: " + json.dumps(chunk).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": data, "more_body": True})


def _error(error: BaseException) -> bytes:
    return b"data: " + json.dumps(describe(error)[1]).encode() + b"\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
