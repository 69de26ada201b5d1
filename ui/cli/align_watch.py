"""What is seen of a run while it trains: its metrics file is read as it grows, whichever stage writes it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING, Any

from decoder.errors import HearthError, Stopped
from ui.cli.output import remark, spinner

if TYPE_CHECKING:
    from pathlib import Path

    from decoder.runs.folder import RunFolder

EVERY = 0.5
INTERRUPT = int(signal.SIGINT)
SHOWN = ("loss", "reward", "kl", "accuracy", "rewards/accuracies", "eval_loss")


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


@dataclass(slots=True)
class Progress:
    """Where a run is, from the lines of its metrics file."""

    folder: RunFolder
    step: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    began: tuple[float, int] | None = None
    _inode: int = 0
    _at: int = 0

    def read(self, now: float) -> bool:
        """Take in what was added; whether that was anything."""
        lines = self._new_lines(self.folder.metrics_file)
        for line in lines:
            self.step = max(self.step, int(line.get("step") or 0))
            self.figures |= {name: value for name in SHOWN if isinstance(value := line.get(name), int | float)}
        if lines and self.began is None:
            self.began = (now, self.step)
        return bool(lines)

    def line(self, now: float) -> str:
        """As in "step 12 of 213, loss 2.31, 4 min left"."""
        total = self._total()
        parts = [f"step {self.step:,}" + (f" of {total:,}" if total else "")]
        parts += [f"{name} {value:.4g}" for name, value in self.figures.items()]
        left = self._left(now, total)
        return ", ".join([*parts, *([f"{left} left"] if left else [])])

    def _total(self) -> int:
        with contextlib.suppress(ValueError, OSError, HearthError):
            return int(self.folder.state.get("max_steps") or 0)
        return 0

    def _left(self, now: float, total: int) -> str:
        from alignment.dry_run_report import duration

        if not total or self.began is None or self.step <= self.began[1]:
            return ""
        a_step = (now - self.began[0]) / (self.step - self.began[1])
        return duration(max(a_step * (total - self.step), 0.0))

    def _new_lines(self, file: Path) -> list[dict[str, Any]]:
        """Whole lines since the last time; all of them when the file was replaced."""
        try:
            with file.open("rb") as opened:
                inode = os.fstat(opened.fileno()).st_ino
                if inode != self._inode or os.fstat(opened.fileno()).st_size < self._at:
                    self._inode, self._at = inode, 0
                opened.seek(self._at)
                added = opened.read()
        except FileNotFoundError:
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._at += len(whole)
        return [line for text in whole.splitlines() if isinstance(line := _parsed(text), dict)]


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


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
