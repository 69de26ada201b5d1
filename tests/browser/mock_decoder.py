"""A stand-in for a served decoder: an OpenAI-compatible server whose answers a test decides. Not a model.

It is used where a test is about the page and not about the model; journeys about the model use vLLM.
"""

import asyncio
import json
import threading
from contextlib import suppress

from aiohttp import web


class MockDecoder:
    """`reply(messages) -> text`; `pace` is seconds between tokens (words). Counts what was asked and left early.

    Before word number `halt` it waits until that is None again.
    """

    def __init__(self, reply=lambda messages: "It is said in the documents [1].", pace=0.0, models=("mock",)):
        self.reply, self.pace, self.models = reply, pace, models
        self.asked, self.left, self.sent, self.halt = [], 0, 0, None
        self.base_url = ""
        self._loop = asyncio.new_event_loop()
        self._runner = None

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self):
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"

    async def _models(self, request):
        return web.json_response({"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]})

    async def _chat(self, request):
        asked = await request.json()
        self.asked.append(asked)
        text = self.reply(asked["messages"])
        if not asked.get("stream"):
            return web.json_response(self._whole(asked, text))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for number, word in enumerate(text.split(" ")):
                while self.halt is not None and number >= self.halt:  # noqa: ASYNC110  # set by another thread
                    await asyncio.sleep(0.01)
                await self._send(response, asked, {"content": word if number == 0 else f" {word}"}, None)
                self.sent += 1
                if self.pace:
                    await asyncio.sleep(self.pace)
            await self._send(response, asked, {}, "stop")
            await response.write(b"data: [DONE]\n\n")
        except (ConnectionError, asyncio.CancelledError):
            self.left += 1
            raise
        with suppress(ConnectionError):
            await response.write_eof()
        return response

    async def _send(self, response, asked, delta, finish):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "m", "object": "chat.completion.chunk", "model": asked["model"], "choices": [choice]}
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())

    @staticmethod
    def _whole(asked, text):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": len(text.split()), "total_tokens": 1 + len(text.split())}
        return {"id": "m", "object": "chat.completion", "model": asked["model"], "choices": [choice], "usage": usage}
