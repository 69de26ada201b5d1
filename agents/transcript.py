"""A run's transcript: one JSON line an event, appended as it happens, from which the run goes on after a crash.

One file is one run. A line is written before the next thing happens, so a killed process loses nothing. What the
machine itself may lose is bounded too: the line that says that a tool with an effect starts is on the disk before
that tool does, as are its observation and the end of the run before they are told to anybody else. So after a power
cut, an effect is known to be done, or known to be unknown, and never forgotten.

Lines hold what is new in a step and no accumulated context: the file grows as the run does. Secrets were taken out of
events before they come here. Numbers that JSON lacks are written NaN and Infinity, as Python does.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

from agents.errors import TranscriptError
from agents.eventjson import from_json, to_json
from agents.events import Event, Nested, Observation, RunEnded, RunStarted, ThoughtDelta, ToolStarted

VERSION = 1
STEP = "reading a transcript"
_KEYS = frozenset({"v", "run", "n", "step", "at", "kind", "event"})


@dataclass(frozen=True, slots=True)
class Recording:
    """What a transcript holds.

    Attributes:
        events: of one run, in order, `RunStarted` first.
        size: bytes of whole lines; what stands behind them was cut off while it was written.
    """

    events: tuple[Event, ...]
    size: int

    @property
    def started(self) -> RunStarted:
        """The run's first event. Raises TranscriptError when there is none."""
        if not self.events or not isinstance(self.events[0], RunStarted):
            raise TranscriptError(STEP, "it holds no run", "Give the transcript of a run that has begun")
        return self.events[0]

    @property
    def ended(self) -> RunEnded | None:
        """The run's last event, once it has ended."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, RunEnded) else None


class Transcript:
    """Writes a run's events to a file: a listener, as `agent.run(task, listeners=[Transcript("run.jsonl")])`.

    An existing file is gone on with: `agent.resume(transcript)`. The file is readable to its owner alone, and closed
    when the run has ended.

    Attributes:
        recording: what was in the file when it was opened; a line cut off at its end was taken away.

    Raises:
        TranscriptError: another writer holds the file, it cannot be written, or is no transcript.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._file, new = _open(self.path)
        self._close = weakref.finalize(self, os.close, self._file)
        try:
            self.recording = read_bytes(self._content(), str(self.path))
            self._end = self.recording.size
            with _failing(self.path):
                os.ftruncate(self._file, self._end)
                if new:
                    _sync_folder(self.path.parent)
        except BaseException:
            self.close()
            raise
        events = self.recording.events
        self._effects: set[str] = set()
        self._count = len(events)
        self._run_id = self.recording.started.run_id if events else ""

    def __call__(self, event: Event) -> None:
        """Append an event. Raises TranscriptError when it cannot be written, or is of another run."""
        if isinstance(event, ThoughtDelta):
            return
        if not self._close.alive:
            raise TranscriptError("writing a transcript", f"{self.path} is closed", "Open it again")
        if isinstance(event, RunStarted):
            self._begin(event)
        elif not self._count:
            raise TranscriptError("writing a transcript", "the first event is no RunStarted", "Begin with the run")
        self._append(encode(event, self._run_id, self._count, time.time()) + b"\n")
        self._count += 1
        if self._must_last(event):
            with _failing(self.path):
                os.fsync(self._file)
        if isinstance(event, RunEnded):
            self.close()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, event: RunStarted) -> None:
        if self._count:
            cause = f"{self.path} holds run {self._run_id} already"
            raise TranscriptError("writing a transcript", cause, "Give each run a file of its own")
        self._run_id = event.run_id

    def _must_last(self, event: Event) -> bool:
        """Whether the event has to be on the disk before anything else happens."""
        match event:
            case Nested():
                return self._must_last(event.event)
            case ToolStarted() if event.effect != "read":
                self._effects.add(event.call.id)
                return True
            case Observation():
                return event.call.id in self._effects
        return isinstance(event, RunEnded)

    def _append(self, line: bytes) -> None:
        """The whole line or nothing: what was written of it is taken back when the rest cannot be."""
        written = 0
        with _failing(self.path):
            try:
                while written < len(line):
                    written += os.write(self._file, line[written:])
            except OSError:
                os.ftruncate(self._file, self._end)
                raise
        self._end += len(line)

    def _content(self) -> bytes:
        with _failing(self.path):
            return self.path.read_bytes()


def read(path: str | PathLike[str]) -> Recording:
    """A transcript as it stands, also while it is written. Raises TranscriptError for a damaged one."""
    file = Path(path).expanduser()
    with _failing(file):
        content = file.read_bytes()
    return read_bytes(content, str(file))


def read_bytes(content: bytes, name: str = "the transcript") -> Recording:
    """As `read`. A last line without its end is what a crash left, and not read.

    Raises:
        TranscriptError: with the number of the line that is none, or not the next of its run.
    """
    *lines, torn = content.split(b"\n")
    events: list[Event] = []
    run_id = ""
    for number, line in enumerate(lines):
        try:
            run, event = decode(line, number)
            _check_order(events, event)
            if isinstance(event, RunStarted):
                run_id = event.run_id
            if run != run_id:
                raise ValueError(f"it is of run {run[:40]!r}, not {run_id!r}")
        except (ValueError, RecursionError) as error:
            remedy = "It was changed after it was written; go on from a copy"
            raise TranscriptError(STEP, f"{name}, line {number + 1}: {error or 'nested too deep'}", remedy) from error
        events.append(event)
    return Recording(tuple(events), len(content) - len(torn))


def encode(event: Event, run_id: str, number: int, at: float) -> bytes:
    """One line, without its end. `number` counts the run's events from 0; `at` is seconds since 1970."""
    line = {
        "v": VERSION,
        "run": run_id,
        "n": number,
        "step": getattr(event, "step", 0),
        "at": round(at, 3),
        "kind": type(event).__name__,
        "event": to_json(event),
    }
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which a tool may give
        return json.dumps(line, separators=(",", ":")).encode()


def decode(line: bytes, number: int) -> tuple[str, Event]:
    """The run's id and the event of line `number`, counted from 0. Raises ValueError or RecursionError."""
    stored = json.loads(line.decode())
    if not isinstance(stored, dict) or stored.get("v") != VERSION or type(stored["v"]) is not int:
        version = stored.get("v") if isinstance(stored, dict) else None
        raise ValueError(f"version {version!r:.40} is not {VERSION}, which is read here")
    if stored.keys() != _KEYS:
        raise ValueError(f"its keys are not {', '.join(sorted(_KEYS))}")
    if stored["n"] != number or type(stored["n"]) is not int:
        raise ValueError(f"it says that it is event {stored['n']!r:.40}, but event {number} is due")
    if not isinstance(stored["run"], str) or not isinstance(stored["kind"], str):
        raise ValueError("run and kind are not text")
    if type(stored["at"]) not in (int, float):
        raise ValueError("at is no number")
    event = from_json(stored["kind"], stored["event"])
    if stored["step"] != getattr(event, "step", 0):
        raise ValueError("its step is not that of its event")
    return stored["run"], event


def _check_order(before: Sequence[Event], event: Event) -> None:
    if isinstance(event, RunStarted) == bool(before):
        raise ValueError("RunStarted is the first event, and the first alone")
    if isinstance(event, ThoughtDelta):
        raise ValueError("ThoughtDelta is never journalled")
    if before and isinstance(before[-1], RunEnded):
        raise ValueError("the run has ended before it")


def _open(path: Path) -> tuple[int, bool]:
    """The file's descriptor, locked against other writers, and whether it is new."""
    with _failing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise
            remedy = "Wait until it is closed, or read it with agents.transcript.read"
            raise TranscriptError("opening a transcript", f"{path} is being written", remedy) from error
        return descriptor, new


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """Turns an OSError into a TranscriptError that names the file."""
    try:
        yield
    except OSError as error:
        cause = f"{path}: {error.strerror or error}"
        raise TranscriptError("using a transcript", cause, "Mend it, then resume the run") from error
