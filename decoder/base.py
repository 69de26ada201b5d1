"""`Decoder`: everything that generates text. The core is async; the sync twins run it on one loop thread."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

from decoder.errors import UsageError
from decoder.types import Completion, Constraint, ConstraintKind, Event, Finished, Prompt, Sampling, Tool

T = TypeVar("T")
UNWINDING = 30.0
"""Seconds that work which was interrupted has to end."""
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The process's one background event loop, started on first use in a daemon thread."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="hearth-loop", daemon=True).start()
        return _loop


def on_background_loop() -> bool:
    """This code runs on the background loop's thread."""
    try:
        return asyncio.get_running_loop() is _loop
    except RuntimeError:
        return False


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait; Ctrl-C cancels it before it is re-raised.

    Raises UsageError on that loop's own thread, where waiting would stop all that runs on it for good.
    """
    if on_background_loop():
        coroutine.close()
        cause = "a sync function was called from async code of a run"
        raise UsageError("waiting for a result", cause, "Await its async twin")
    future = asyncio.run_coroutine_threadsafe(coroutine, background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def close_events(events: AsyncIterator[Any]) -> None:
    """Close an async generator now; left to the garbage collector, the work behind it would go on for a while."""
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


class _Steps(Generic[T]):
    """An async generator's steps on the background loop. All that it knows is touched on that loop alone."""

    def __init__(self, events: AsyncIterator[T]) -> None:
        self._events = events
        self._at_work: asyncio.Task[Any] | None = None

    async def advance(self) -> tuple[bool, T | None]:
        """Whether there was a next one, and it."""
        self._at_work = asyncio.current_task()
        try:
            return True, await anext(self._events)
        except StopAsyncIteration:
            return False, None
        finally:
            self._at_work = None

    async def close(self) -> None:
        """Close the generator, which cannot be done during a step: one that Ctrl-C left at work is ended first.

        A step that does not end within UNWINDING is left to itself; it was cancelled, and its generator with it.
        """
        if self._at_work is not None:
            if not self._at_work.cancelling():  # a second time would break off its own `finally`
                self._at_work.cancel()
            _, going = await asyncio.wait({self._at_work}, timeout=UNWINDING)
            if going:
                return
        await close_events(self._events)


def iterate_sync(events: AsyncIterator[T]) -> Iterator[T]:
    """Iterate an async generator from sync code; leaving early closes it, which cancels the work behind it.

    Raises UsageError on the background loop's own thread, as `run_sync`.
    """
    steps = _Steps(events)
    try:
        while True:
            more, event = run_sync(steps.advance())
            if not more:
                return
            yield event  # type: ignore[misc]  # `more` says that it is a T
    finally:
        if on_background_loop():  # a refused call, or an iterator that is collected there: it is not waited for
            asyncio.run_coroutine_threadsafe(steps.close(), background_loop())
        else:
            run_sync(steps.close())


class Decoder(ABC):
    """A model that completes conversations.

    Implement `astream` alone, or both async methods where one request is cheaper than a stream.
    Every implementation passes tests/decoder/test_contract.py.

    Attributes:
        model: the name that the decoder answers to.
        constraints: the constraint kinds that it enforces.
    """

    model: str = ""
    constraints: frozenset[ConstraintKind] = frozenset()

    @abstractmethod
    def astream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> AsyncIterator[Event]:
        """Yield deltas as they are generated, then exactly one `Finished`.

        Closing the iterator early stops the generation behind it. Raises DecoderError leaves.
        """

    async def acomplete(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> Completion:
        """The whole completion. Raises DecoderError leaves."""
        events = self.astream(prompt, sampling=sampling, constraint=constraint, tools=tools)
        try:
            async for event in events:
                if isinstance(event, Finished):
                    return event.completion
        finally:
            await close_events(events)
        raise AssertionError("a stream ended without Finished and without an error")

    def complete(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> Completion:
        """`acomplete` for code without an event loop."""
        return run_sync(self.acomplete(prompt, sampling=sampling, constraint=constraint, tools=tools))

    def stream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> Iterator[Event]:
        """`astream` for code without an event loop."""
        return iterate_sync(self.astream(prompt, sampling=sampling, constraint=constraint, tools=tools))

    async def aready(self) -> Self:
        """Find out `model` and `constraints` now, where a decoder has to ask for them. Raises DecoderError leaves."""
        return self

    async def apinned(self) -> Self:
        """`aready`, and the same model from then on, whatever is promoted: for work whose answers have to be of one."""
        return await self.aready()

    async def acount_tokens(self, prompt: Prompt) -> int:
        """Tokens of the prompt with its chat template; the default overestimates, at one per three bytes."""
        from decoder.types import as_messages

        return sum(len(m.text.encode()) // 3 + 8 for m in as_messages(prompt))

    async def acounts_exactly(self) -> bool:
        """Whether `acount_tokens` counts with the model's tokenizer, or estimates. Raises DecoderError leaves."""
        return type(self).acount_tokens is not Decoder.acount_tokens

    async def acontext_length(self) -> int | None:
        """Most tokens of prompt and completion together, or None when the decoder does not tell."""
        return None

    async def aclose(self) -> None:  # noqa: B027  # many decoders hold nothing
        """Release connections and memory. Idempotent."""

    def close(self) -> None:
        """`aclose` for code without an event loop."""
        run_sync(self.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
