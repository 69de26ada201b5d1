"""Waiting for a lock on a file, which ends with the process that holds it; never for ever."""

from __future__ import annotations

import fcntl
import time
from typing import IO, Any

POLL_SECONDS = 0.005


def take(file: IO[Any], seconds: float) -> bool:
    """Lock an open file for this process alone (flock); it is let go when the file is closed.

    Returns False when another process still holds it after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
