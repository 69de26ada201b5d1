"""`hearth ui` under load: many people chat at once; first-token delay, lost text, errors; start and rerun times.

    python -m benchmarks.ui_load [--sessions 50] [--tokens 300] [--spread 10] [--rounds 3] [--json]

Each session is a websocket that speaks Streamlit's protocol as a browser does. The decoder is a mock, a process of its
own, that sends each answer at 30 tokens a second; every answer is different, and must arrive whole. Delays are from
the question sent to the first of its answer received, and hold the mock's own 1/30 s. One session alone is measured
on the same app, before the others come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.concurrency import Mock, mock_server, serve  # noqa: E402
from benchmarks.streamlit_client import Session  # noqa: E402

RATE = 30
"""Tokens a second of each answer."""
TOKENS = 300
WAIT_SECONDS = 120.0


def answer_to(question: str, tokens: int) -> str:
    """What the mock says: words that belong to this question alone."""
    name = "".join(re.findall(r"\w+", question))
    return " ".join(f"{name}w{number}" for number in range(tokens))


class Talker(Mock):
    """A decoder that answers the last question word by word, as server-sent events."""

    def answer(self, body: bytes) -> bytes:
        """The list of models, or the head of an answer whose words follow in their time."""
        if not body:
            models = json.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}).encode()
            return (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(models)
                + models
            )
        said = json.loads(body)["messages"][-1]["content"]
        found = re.search(r"session \d+ round \d+ tokens (\d+)", str(said))
        words = answer_to(found.group(), int(found.group(1))) if found else "none"
        self.talking = asyncio.get_running_loop().create_task(self._talk(words.split(" ")))
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def _talk(self, words: Sequence[str]) -> None:
        began = time.monotonic()
        for number, word in enumerate(words):
            await asyncio.sleep(began + (number + 1) / RATE - time.monotonic())
            self._event({"content": f" {word}" if number else word}, None)
        self._event({}, "stop")
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, delta: dict[str, str], finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        event = {"id": "m", "object": "chat.completion.chunk", "model": "mock", "choices": [choice]}
        self._chunk(b"data: %s\n\n" % json.dumps(event).encode())

    def _chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))  # type: ignore[attr-defined]  # a stream's transport


@dataclass(frozen=True, slots=True)
class Told:
    """How one answer arrived: seconds to its first word and to its whole, and what was wrong with it."""

    first: float
    whole: float
    wrong: str = ""


@contextmanager
def running_app(home: str, decoder: str) -> Iterator[tuple[str, float, int]]:
    """`hearth ui` on a home: its URL, the seconds until a page of it was answered in full, its process."""
    environment = {each: value for each, value in os.environ.items() if not each.startswith("HEARTH_")}
    environment |= {"HEARTH_HOME": home, "HEARTH_DECODER_BASE_URL": decoder, "HEARTH_DECODER_PRESET": "openai"}
    port = _free_port()
    command = [sys.executable, "-m", "ui.cli", "ui", "--no-browser", "--port", str(port)]
    began = time.perf_counter()
    with (Path(home) / "ui.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _until_healthy(process, url, Path(home) / "ui.log")
        asyncio.run(_open_once(url))
        yield url, time.perf_counter() - began, process.pid
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(6000):
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"{url} does not answer")


async def _open_once(url: str) -> None:
    """Open the first page, until it can be written to."""
    import aiohttp

    async with aiohttp.ClientSession() as http, Session(url, http) as session:
        await session.rerun()
        await session.until(lambda: session.runs > 0 and bool(session.chat_input()), WAIT_SECONDS)


async def warmed(url: str) -> None:
    """Wait until the app has loaded what it loads in the background, and its page has nothing to complain of."""
    import aiohttp

    async with aiohttp.ClientSession() as http, Session(url, http) as session:
        for number in range(60):
            await session.rerun()
            await session.until(lambda expected=number + 1: session.runs >= expected, WAIT_SECONDS)
            if number and not session.errors():
                return
            await asyncio.sleep(1.0)
    raise RuntimeError("; ".join(session.errors()))


async def converse(session: Session, number: int, round_: int, tokens: int) -> Told:
    """Ask one question and read the answer to its end."""
    question = f"session {number} round {round_} tokens {tokens}"
    answer = answer_to(question, tokens)
    first_word, runs, began = answer.split(" ", 1)[0], session.runs, time.perf_counter()
    try:
        await session.rerun(question)
        await session.until(lambda: first_word in session.text(), WAIT_SECONDS)
        first = time.perf_counter() - began
        await session.until(lambda: session.runs > runs and answer in session.text(), WAIT_SECONDS)
    except (TimeoutError, ConnectionError) as error:
        lost = "lost text" if first_word in session.text() else "no answer"
        return Told(time.perf_counter() - began, 0.0, f"{lost}: {type(error).__name__}")
    wrong = "; ".join(session.errors())
    return Told(first, time.perf_counter() - began, wrong)


async def talk(url: str, sessions: int, rounds: int, tokens: int, first: int = 0, spread: float = 0.0) -> list[Told]:
    """All sessions open the chat; then each asks its questions one after the other.

    Args:
        spread: seconds over which the first questions are spread; at 0 all are sent in the same moment.
    """
    import aiohttp

    async def one(number: int, http: aiohttp.ClientSession) -> list[Told]:
        async with Session(url, http) as session:
            await session.rerun()
            await session.until(lambda: session.runs > 0 and bool(session.chat_input()), WAIT_SECONDS)
            await opened.wait()
            await asyncio.sleep(spread * (number - first) / sessions)
            return [await converse(session, number, each, tokens) for each in range(rounds)]

    opened = asyncio.Barrier(sessions)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        told = await asyncio.gather(*(one(first + number, http) for number in range(sessions)))
    return [each for of_one in told for each in of_one]


async def reruns(url: str, times: int = 20) -> list[float]:
    """Seconds that a rerun of the chat page takes, without generation, as the browser waits for it."""
    import aiohttp

    taken = []
    async with aiohttp.ClientSession() as http, Session(url, http) as session:
        for number in range(times + 2):
            began = time.perf_counter()
            await session.rerun()
            await session.until(lambda expected=number + 1: session.runs >= expected, WAIT_SECONDS)
            taken.append(time.perf_counter() - began)
    return taken[2:]


def figures(sessions: int, rounds: int, tokens: int, starts: int, spread: float) -> dict[str, float | str]:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix="hearth-load-") as home, mock_server(__file__) as decoder:
        seconds = []
        for _ in range(starts):
            with running_app(home, decoder) as (_, took, _):
                seconds.append(took)
        with running_app(home, decoder) as (url, _, app):
            asyncio.run(warmed(url))
            before = processor_seconds(app)
            drawn = asyncio.run(reruns(url))
            for_reruns = (processor_seconds(app) - before) / (len(drawn) + 2)
            alone = asyncio.run(talk(url, 1, max(rounds, 5), tokens))
            before, before_here, began, loads = (
                processor_seconds(app),
                time.process_time(),
                time.time(),
                os.getloadavg(),
            )
            together = asyncio.run(talk(url, sessions, rounds, tokens, first=1000, spread=spread))
            took, here = time.time() - began, time.process_time() - before_here
            there = processor_seconds(app) - before
    wrong = [told.wrong for told in (*alone, *together) if told.wrong]
    median, high = _spread(together)
    median_alone, high_alone = _spread(alone)
    whole = tokens / RATE
    return {
        "sessions": sessions,
        "answers": len(together),
        "tokens each": tokens,
        "start to page, s (median)": round(statistics.median(seconds), 2) if seconds else 0.0,
        "rerun, ms (median)": round(1000 * statistics.median(drawn), 1),
        "rerun, ms of the app's processor time": round(1000 * for_reruns, 1),
        "alone: first token, s (median)": round(median_alone, 3),
        "alone: first token, s (95%)": round(high_alone, 3),
        "together: first token, s (median)": round(median, 3),
        "together: first token, s (95%)": round(high, 3),
        "ratio of medians": round(median / median_alone, 2),
        "ratio at 95%": round(high / high_alone, 2),
        "together: whole answer later than sent, s (median)": round(
            statistics.median(told.whole for told in together) - whole, 3
        ),
        "together: seconds": round(took, 1),
        "together: the app's processor time, s": round(there, 1),
        "together: this client's processor time, s": round(here, 1),
        "load average before": round(loads[0], 1),
        "lost or wrong": len(wrong),
        "the first that was wrong": wrong[0] if wrong else "",
    }


def processor_seconds(process: int) -> float:
    """What a process has used of the processors, its own and the system's time for it. Linux alone."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _spread(told: Sequence[Told]) -> tuple[float, float]:
    """Median and 95th percentile of the delay of the first token."""
    delays = sorted(each.first for each in told)
    return statistics.median(delays), delays[min(len(delays) - 1, int(0.95 * len(delays)))]


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="questions of each session")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument(
        "--spread", type=float, default=TOKENS / RATE, help="seconds over which the first questions come"
    )
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help="be the mock decoder")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(Talker))
        return
    found = figures(options.sessions, options.rounds, options.tokens, options.starts, options.spread)
    print(json.dumps(found) if options.json else "\n".join(f"{name:52} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
