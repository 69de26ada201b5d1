"""What tests of several rooms share: a web server on loopback that answers byte by byte what it is told to."""

import asyncio
import threading
from contextlib import suppress

import pytest


class Web:
    """Pages by path: bytes of a whole answer, or a coroutine function of the writer. Keeps what it was asked."""

    def __init__(self):
        self.pages, self.requests, self.base = {}, [], ""

    def page(self, path, body=b"", status="200 OK", **headers):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.pages[path] = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        return self.base + path

    def redirect(self, path, location, status="302 Found"):
        return self.page(path, status=status, Location=location)

    def raw(self, path, answer):
        self.pages[path] = answer
        return self.base + path

    def paths(self):
        return [request.split(" ", 2)[1] for request in self.requests]

    async def _serve(self, reader, writer):
        try:
            await self._answer(reader, writer)
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _answer(self, reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(request)
            path = request.split(" ", 2)[1]
            answer = self.pages.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
            elif asyncio.iscoroutinefunction(answer):
                await answer(writer)
            else:
                writer.write(answer(request))
            await writer.drain()


@pytest.fixture
def web():
    """A `Web` at `http://127.0.0.1:<port>`, served by a thread of its own."""
    found, loop = Web(), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(found._serve, "127.0.0.1", 0))
    found.port = server.sockets[0].getsockname()[1]
    found.base = f"http://127.0.0.1:{found.port}"
    found.allowed = (f"127.0.0.1:{found.port}",)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield found

    async def stop():
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed transports say goodbye to their sockets

    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
