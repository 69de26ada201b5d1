"""What is seen of a run while it trains: its metrics file is read as it grows, whichever stage writes it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from alignment.run_progress import Progress
from decoder.errors import Stopped
from ui.cli.output import remark, spinner

if TYPE_CHECKING:
    from decoder.runs.folder import RunFolder

EVERY = 0.5
INTERRUPT = int(signal.SIGINT)


@contextlib.contextmanager
def watched(folder: RunFolder, what: str) -> Iterator[None]:
    """Show the run's steps, figures and remaining time on standard error, until it ends."""
    ended = threading.Event()
    with spinner(what) as show:
        thread = threading.Thread(
            target=_follow, args=(Progress(folder), show, ended), daemon=True, name="hearth-align-watch"
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(5)


@contextlib.contextmanager
def signals_seen() -> Iterator[Callable[[], set[int]]]:
    """The numbers of the signals that came meanwhile, whoever handled them; none outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield set
        return
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    numbers: set[int] = set()

    def seen() -> set[int]:
        with contextlib.suppress(BlockingIOError):
            numbers.update(os.read(reading, 4096))
        return numbers

    try:
        yield seen
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


class Aside(io.TextIOBase):
    """What a stage prints, on standard error: standard output is for the result. What transformers' trainers print of
    their figures is left out, since it is shown already.
    """

    def __init__(self) -> None:
        self._line = ""

    def write(self, text: str) -> int:
        """Whole lines are passed on."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if not (line.startswith("{'") and line.endswith("}")):
                remark(line)
        return len(text)


def _follow(progress: Progress, show: Callable[[str], None], ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        now = time.monotonic()
        if progress.read(now):
            show(progress.line(now))


def as_options(overrides: Sequence[str]) -> list[str]:
    """`--set` and its values as they would be typed again."""
    return [word for override in overrides for word in ("--set", quote(override))]


def told(stopped: Stopped, again: str, interrupted: bool) -> Stopped:
    """The error with the command that goes on, and the exit code of what ended the run."""
    from ui.cli.errors import INTERRUPTED

    said = Stopped(stopped.step, stopped.cause, f"Go on with: {again}")
    if interrupted:
        said.exit_code = INTERRUPTED
    return said
