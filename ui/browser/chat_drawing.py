"""Whole pages are drawn a few at a time: the others wait, and the first words of answers come between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2
LONGEST_WAIT = 3.0
"""Seconds after which a page is drawn all the same, as when one that is being drawn waits for a server."""
_places = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def in_turn() -> Iterator[None]:
    """Within, a page is drawn; not so long that an answer is followed."""
    taken = _places.acquire(timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if taken:
            _places.release()
