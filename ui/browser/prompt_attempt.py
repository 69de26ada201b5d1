"""One question put to the decoder while the page is looked at: text or votes as they come, and a stop that stops it.

It runs on the process's background loop. A page holds it in its session and shows what it has come to; when it is
stopped, the request behind it is cancelled, and the server generates no more.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decoder.base import background_loop
from decoder.errors import HearthError

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message, Sampling
    from prompts.consistency import Consensus
    from prompts.template import Prompt
    from prompts.voting import Vote


@dataclass
class Attempt:
    """What has come so far.

    Attributes:
        text: of one answer.
        votes, drawn: of self-consistency.
        truncated: max_tokens ended the answer.
        consensus: of self-consistency, when it is done.
        error: what went wrong.
        stopped: it was asked to stop.
    """

    text: str = ""
    votes: tuple[Vote, ...] = ()
    drawn: int = 0
    truncated: bool = False
    consensus: Consensus | None = None
    error: HearthError | None = None
    stopped: bool = False
    _future: concurrent.futures.Future[None] | None = field(default=None, repr=False)

    @property
    def going(self) -> bool:
        """It has not ended."""
        return self._future is not None and not self._future.done()

    def start(self, work: Callable[[Attempt], Coroutine[Any, Any, None]]) -> Attempt:
        """Begin in the background."""
        self._future = asyncio.run_coroutine_threadsafe(self._run(work), background_loop())
        return self

    def stop(self) -> None:
        """Cancel it; what has come stays."""
        self.stopped = True
        if self._future is not None:
            self._future.cancel()

    def wait(self, seconds: float) -> None:
        """Until it has ended, at most so long."""
        if self._future is not None:
            concurrent.futures.wait([self._future], seconds)

    def check(self) -> None:
        """Raise what went wrong that is no error of the house: a bug, for the log."""
        if self._future is not None and self._future.done() and not self._future.cancelled():
            ended, self._future = self._future, None  # raised once, or the page would fail for ever
            ended.result()

    async def _run(self, work: Callable[[Attempt], Coroutine[Any, Any, None]]) -> None:
        try:
            await work(self)
        except HearthError as error:
            self.error = error


def ask_once(decoder: Decoder, prompt: Prompt, messages: tuple[Message, ...], sampling: Sampling) -> Attempt:
    """One answer, streamed; held to the prompt's schema where the decoder can."""
    from decoder.base import close_events
    from decoder.types import Finished, TextDelta
    from prompts.asking import merged

    async def work(attempt: Attempt) -> None:
        await decoder.aready()
        constraint = prompt.constraint if "json" in decoder.constraints else None
        events = decoder.astream(messages, sampling=merged(prompt.sampling, sampling), constraint=constraint)
        try:
            async for event in events:
                if isinstance(event, TextDelta) and event.index == 0:
                    attempt.text += event.text
                elif isinstance(event, Finished):
                    attempt.text = event.completion.text
                    attempt.truncated = event.completion.finish_reason == "length"
        finally:
            await close_events(events)

    return Attempt().start(work)


def ask_often(
    decoder: Decoder, prompt: Prompt, messages: tuple[Message, ...], sampling: Sampling, kind: str, samples: int
) -> Attempt:
    """Self-consistency over up to `samples` samples, whose answers are of this kind."""
    from prompts.consistency import aself_consistency
    from prompts.evaluate import warm

    async def work(attempt: Attempt) -> None:
        def on_window(votes: tuple[Vote, ...], drawn: int) -> None:
            attempt.votes, attempt.drawn = votes, drawn

        await decoder.aready()
        attempt.consensus = await aself_consistency(
            decoder,
            messages,
            extract=kind,
            samples=samples,
            sampling=warm(prompt, sampling),
            constraint=prompt.constraint if "json" in decoder.constraints else None,
            on_window=on_window,
        )
        attempt.votes, attempt.drawn = attempt.consensus.votes, len(attempt.consensus.samples)

    return Attempt().start(work)
