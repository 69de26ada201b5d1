"""Requests per second with 64 in flight: ServedDecoder, AsyncOpenAI and bare aiohttp, against one loopback mock.

    python -m benchmarks.concurrency [--requests 640] [--rounds 5] [--json]

The mock is a process of its own that answers every POST with one canned chat completion. The clients take turns,
round by round, in one process; the ratio is taken within each round, and its median is what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
IN_FLIGHT = 64
PROMPT = "What keeps the house warm?"
Ask = Callable[[], Awaitable[object]]


def canned() -> bytes:
    """One HTTP answer, as vLLM gives it."""
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "mock",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The fire in the middle of it. " * 8},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76},
    }
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Mock(asyncio.Protocol):
    """As little of HTTP as is needed, so that the server is not what is measured. Every POST gets one canned answer."""

    canned = canned()

    def answer(self, body: bytes) -> bytes:
        """The whole HTTP answer to a request with this body."""
        return self.canned

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each request when its body is whole."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.transport.write(self.answer(body))  # type: ignore[attr-defined]  # a stream's transport


async def serve(mock: type[Mock] = Mock) -> None:
    """Serve on a free port, which is printed, until killed."""
    server = await asyncio.get_running_loop().create_server(mock, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def mock_server(script: str = __file__):
    """The base URL of a mock that `script --serve` runs in a process of its own."""
    process = subprocess.Popen([sys.executable, script, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def rate(ask: Ask, requests: int) -> float:
    """Requests per second with IN_FLIGHT workers."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await ask()

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return requests / (time.perf_counter() - start)


async def compare(base_url: str, requests: int, rounds: int) -> dict[str, list[float]]:
    """Rates of every client, by round."""
    import aiohttp
    from openai import AsyncOpenAI

    from decoder.client import ServedDecoder
    from decoder.types import Sampling

    sampling = Sampling(temperature=0.7, max_tokens=64)
    body = {"model": "mock", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0.7, "max_tokens": 64}
    async with (
        ServedDecoder(base_url, "mock", preset="vllm", api_key="k") as decoder,
        AsyncOpenAI(base_url=base_url, api_key="k") as openai,
        aiohttp.ClientSession() as session,
    ):

        async def plain() -> object:
            async with session.post(base_url + "/chat/completions", json=body) as response:
                return await response.json()

        clients: dict[str, Ask] = {
            "ServedDecoder": lambda: decoder.acomplete(PROMPT, sampling=sampling),
            "AsyncOpenAI": lambda: openai.chat.completions.create(**body),
            "aiohttp": plain,
        }
        for ask in clients.values():
            await rate(ask, IN_FLIGHT)  # connections opened, modules imported
        rates: dict[str, list[float]] = {name: [] for name in clients}
        for _ in range(rounds):
            for name, ask in clients.items():
                count = requests if name != "AsyncOpenAI" else max(IN_FLIGHT, requests // 4)
                rates[name].append(await rate(ask, count))
    return rates


def report(rates: dict[str, list[float]]) -> dict[str, float]:
    """Medians, and the median of the ratios within each round."""
    ratios = [ours / theirs for ours, theirs in zip(rates["ServedDecoder"], rates["AsyncOpenAI"], strict=True)]
    figures = {f"{name} requests/s": round(statistics.median(values), 1) for name, values in rates.items()}
    return figures | {
        "ratio": round(statistics.median(ratios), 2),
        "lowest ratio": round(min(ratios), 2),
        "highest ratio": round(max(ratios), 2),
        "in flight": IN_FLIGHT,
    }


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=640, help="per client and round (a quarter for AsyncOpenAI)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help="be the mock server")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    with mock_server() as base_url:
        figures = report(asyncio.run(compare(base_url, options.requests, options.rounds)))
    if options.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:26} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
