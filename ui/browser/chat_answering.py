"""Answers that are being written: in the background, so that a rerun, a reload or another tab finds them again.

One runs on the process's event loop for each turn that is "running". What was written is kept about once a second;
when the process is killed, that is what is left of it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress

from decoder.base import background_loop
from decoder.errors import HearthError, UsageError
from decoder.types import Message
from rag.types import Answer, AnswerDelta
from ui.browser.chat_settings import ChatSettings
from ui.browser.chat_store import Store
from ui.browser.chat_types import State, Turn
from ui.browser.chat_written import Asked, parts

KEEP_SECONDS = 1.0
RUNNING: State = "running"
MOST_AT_ONCE = 200
SHORTEST, LONGEST = 0.2, 1.0
WAITING = 0.5
"""Seconds between two signs of life before the first word; a button that was pressed is seen by then."""
EACH_FOLLOWER = 0.02
"""Seconds between two updates of a page: this for each answer that is followed, within the two bounds above."""
_running: dict[str, Answering] = {}
_lock = threading.Lock()
log = logging.getLogger("hearth.ui")


class Answering:
    """One answer under way.

    Attributes:
        text: what was written so far, not yet checked.
        state: "running", then how it ended.
    """

    def __init__(self, store: Store, asked: Asked) -> None:
        self.turn, self.text, self.state = asked.turn, "", RUNNING
        self._store, self._asked = store, asked
        self._news = threading.Condition()
        self._work: asyncio.Task[Answer | None] | None = None
        self._to_stop = False

    def stop(self) -> None:
        """End it; the decoder's generation ends with it. What was written stays."""
        background_loop().call_soon_threadsafe(self._cancel)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after `seconds` at most."""
        with self._news:
            return self._news.wait_for(self._has_ended, seconds)

    def follow(self) -> Iterator[str]:
        """The text whenever there is more of it, at once for the first of it, then no oftener than screens can take."""
        shown, patience = "", WAITING
        while self.state == RUNNING:
            with self._news:
                self._news.wait_for(self._has_begun if not shown else self._has_ended, patience)
            if self.text != shown:
                shown = self.text
                began = time.monotonic()
                yield shown
                spent = time.monotonic() - began
                patience = min(LONGEST, max(SHORTEST, EACH_FOLLOWER * len(_running), 20 * spent))
            elif not shown:
                yield ""  # so that a script that is to end does

    def _has_ended(self) -> bool:
        return self.state != RUNNING

    def _has_begun(self) -> bool:
        return bool(self.text) or self._has_ended()

    def _cancel(self) -> None:
        self._to_stop = True
        if self._work is not None:
            self._work.cancel()

    async def run(self) -> None:
        """Write the answer to its end, whatever that is."""
        saver = asyncio.create_task(self._keep())
        self._work = asyncio.create_task(self._write())
        if self._to_stop:
            self._work.cancel()
        state: State = "done"
        answer: Answer | None = None
        error: dict[str, str] = {}
        try:
            answer = await self._work
        except asyncio.CancelledError:
            state = "stopped"
        except HearthError as failed:
            state, error = "failed", {"step": failed.step, "cause": failed.cause, "remedy": failed.remedy}
        except Exception as failed:
            log.exception("an answer failed")
            state, error = "failed", {"step": "a bug in Hearth", "cause": type(failed).__name__, "remedy": ""}
        saver.cancel()
        await asyncio.gather(saver, return_exceptions=True)  # whatever became of it, the end is kept
        await self._end(state, answer, error)

    async def _write(self) -> Answer | None:
        answer = None
        async with aclosing(parts(self._asked)) as events:
            async for part in events:
                if isinstance(part, AnswerDelta):
                    self._add(part.text)
                else:
                    answer = part
        return answer

    def _add(self, text: str) -> None:
        first = not self.text
        self.text += text
        if first and self.text:
            with self._news:
                self._news.notify_all()

    async def _keep(self) -> None:
        kept = ""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            if self.text != kept:
                kept = self.text
                with suppress(HearthError):  # the end is kept, or says why not
                    await asyncio.to_thread(self._store.write, self.turn.id, kept)

    async def _end(self, state: State, answer: Answer | None, error: dict[str, str]) -> None:
        try:
            await asyncio.to_thread(self._store.end, self.turn.id, state, self.text, answer, self._asked.model, error)
        except HearthError:
            log.exception("how an answer ended could not be kept")
        finally:
            with _lock:
                _running.pop(self.turn.id, None)
            with self._news:
                self.state = state
                self._news.notify_all()


def ask(
    store: Store,
    person: str,
    conversation: str,
    question: str,
    parent: str,
    kb: str,
    settings: ChatSettings,
    history: Sequence[Message] = (),
    job: str = "",
) -> Answering:
    """Keep a question and begin to answer it. Returns at once.

    Args:
        parent: the turn before; another with the same parent becomes a version of it.
        history: what the decoder is to remember.
        job: an indexing to wait for first.

    Raises:
        UsageError: as `Store.begin`; or as many are being written as may be at once.
    """
    with _lock:
        if len(_running) >= MOST_AT_ONCE:
            cause = f"{len(_running)} answers are being written already"
            raise UsageError("asking", cause, "Try again in a moment")
    turn = store.begin(conversation, person, question, parent, kb, settings, job)
    answering = Answering(store, Asked(turn, person, history))
    with _lock:
        _running[turn.id] = answering
    asyncio.run_coroutine_threadsafe(answering.run(), background_loop())
    return answering


def running(turn: str) -> Answering | None:
    """The answer of this turn while this process writes it."""
    with _lock:
        return _running.get(turn)


def settled(store: Store, turn: Turn) -> Turn:
    """A "running" turn as it is: one of this process that it does not write was interrupted."""
    if running(turn.id) is not None or not store.mine(turn.id) or time.time() - turn.created < LONGEST:
        return turn
    with suppress(HearthError):
        store.end(turn.id, "interrupted", turn.text)
    return store.again(turn)
