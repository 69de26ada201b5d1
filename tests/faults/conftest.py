"""A server that speaks HTTP over bare sockets, and misbehaves exactly as a test asks."""

import asyncio
import json
import time

import pytest

GREETING = ("The ", "fire ", "is ", "lit.")


def chunk(text=None, finish=None):
    """One event of a chat-completion stream."""
    delta = {} if text is None else {"content": text}
    body = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


class Exchange:
    """One request, and the means to answer it badly."""

    def __init__(self, reader, writer, path, headers, body):
        self.reader, self.writer = reader, writer
        self.path, self.headers, self.body = path, headers, body
        self.streaming = bool(body.get("stream"))

    async def send(self, data):
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status, body, kind="application/json", **headers):
        """A whole answer; the body may be a dict."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body.encode()
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{extra}\r\n"
        await self.send(head.encode() + data)

    async def completion(self, text="The fire is lit.", **choice):
        """A good answer."""
        first = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | choice
        await self.answer(200, {"id": "c1", "model": "m", "choices": [first]})

    async def begin(self, kind="text/event-stream"):
        """The head of a stream."""
        await self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    async def event(self, data):
        """A piece of a stream, as one HTTP chunk."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def token(self, text, finish=None):
        """One token of a stream."""
        await self.event(chunk(text, finish))

    async def end(self):
        """The end of a stream, as HTTP has it."""
        await self.send(b"0\r\n\r\n")

    async def stream(self, *tokens):
        """A good stream."""
        await self.begin()
        for token in tokens or GREETING:
            await self.token(token)
        await self.token(None, "stop")
        await self.event(b"data: [DONE]\n\n")
        await self.end()

    async def good(self):
        """A good answer of either kind."""
        await (self.stream() if self.streaming else self.completion())

    def die(self):
        """Close the connection with a reset, as the kernel does for a killed process."""
        self.writer.transport.abort()

    async def hang(self):
        """Say nothing more until the client goes."""
        await self.reader.read()


class FaultServer:
    """Answers request number i with script number i, and the rest with the last one.

    Attributes:
        exchanges: what was asked so far.
        left_at: when a client closed its connection, on `time.monotonic`.
    """

    def __init__(self):
        self.scripts, self.exchanges, self.left_at, self.tasks = [], [], [], set()
        self.connections = 0

    async def start(self):
        self.server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"

    async def stop(self):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def __call__(self, *scripts):
        self.scripts = list(scripts)

    async def _connected(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        self.connections += 1
        try:
            while (exchange := await self._read(reader, writer)) is not None:
                self.exchanges.append(exchange)
                await self.scripts[min(len(self.exchanges), len(self.scripts)) - 1](exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone, as some of these tests ask of it
        finally:
            self.left_at.append(time.monotonic())
            writer.close()

    async def _read(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Exchange(reader, writer, first.split()[1], headers, json.loads(body) if body else {})


@pytest.fixture
async def faulty():
    server = FaultServer()
    await server.start()
    yield server
    await server.stop()
