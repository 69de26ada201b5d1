"""vLLM's own figures over time: a thread that asks every server for them while somebody looks, and what it has kept.

One thread a process, started by the first look. It ends by itself when nobody has looked for a while; what it kept
stays, and the next look starts it again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from decoder.errors import DecoderError, HearthError
from decoder.metrics import Rates, Reading, ask, rates
from decoder.settings import home

EVERY = 5.0
HOUR = 3600.0
NOBODY = 600.0
"""Seconds without a look after which it stops."""


@dataclass(frozen=True, slots=True)
class Point:
    """A reading, what happened since the one before it, and when it was, seconds since 1970."""

    at: float
    reading: Reading
    rates: Rates


class Sampler:
    """Keeps the last hour of every server's figures.

    Args:
        targets: servers to ask, address by name; called before each round.
        read: asks one: its address and the time of a clock that only goes forward.
        every, nobody: seconds between rounds, and without a look until it stops.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, str]],
        read: Callable[[str, float], Reading] = ask,
        every: float = EVERY,
        nobody: float = NOBODY,
    ) -> None:
        self._targets, self._read, self._every, self._nobody = targets, read, every, nobody
        self._kept: dict[str, deque[Point]] = {}
        self._last: dict[str, Reading] = {}
        self._lock = threading.Lock()
        self._looked = 0.0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        """Whether it asks."""
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> dict[str, list[Point]]:
        """What is kept, by server, oldest first; and go on asking."""
        with self._lock:
            self._looked = time.monotonic()
            if not self.running:
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name="hearth-ui-metrics", daemon=True)
                self._thread.start()
            return {name: list(points) for name, points in self._kept.items()}

    def stop(self) -> None:
        """End the thread, as at the end of a test."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)

    def round(self) -> None:
        """Ask every server once. One that does not answer, or is none of vLLM's, is passed over."""
        try:
            targets = self._targets()
        except HearthError:
            targets = {}
        for name, address in targets.items():
            try:
                self._add(name, self._read(address, time.monotonic()))
            except DecoderError:
                self._last.pop(name, None)
        with self._lock:
            for name, points in list(self._kept.items()):
                while points and time.time() - points[0].at > HOUR:
                    points.popleft()
                if not points:
                    del self._kept[name]

    def _add(self, name: str, reading: Reading) -> None:
        before = self._last.get(name)
        self._last[name] = reading
        happened = rates(before, reading) if before is not None else Rates(None, None, None)
        with self._lock:
            points = self._kept.setdefault(name, deque(maxlen=int(HOUR / self._every)))
            points.append(Point(time.time(), reading, happened))

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                if time.monotonic() - self._looked > self._nobody:
                    self._thread = None
                    return
            self.round()
            self._stop.wait(self._every)


def addresses() -> dict[str, str]:
    """The servers that answer, by name: those that were started here, and the settings' one."""
    from decoder.settings import DecoderSettings, section

    found: dict[str, str] = {}
    if (home() / "servers").is_dir():
        from decoder.server import servers

        found = {entry.name: entry.base_url for entry in servers() if entry.models}
    given = section("decoder", DecoderSettings).base_url.rstrip("/")
    if given and given not in found.values():
        found[given] = given
    return found


_here = Sampler(addresses)


def sampler() -> Sampler:
    """The one of this process."""
    return _here
