"""When to try a request again, and after how long. Nothing is tried again once a token reached the user.

Waits grow exponentially with full jitter (Brooker 2015, "Exponential Backoff And Jitter"), so that many
clients of a server that comes back do not all return at once.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from decoder.errors import ConnectFailed, DecoderError, RateLimited, ServerFailed, TruncatedStream

RETRYABLE: tuple[type[DecoderError], ...] = (ConnectFailed, ServerFailed, RateLimited, TruncatedStream)


@dataclass(frozen=True, slots=True)
class Retry:
    """The budget of one request.

    Attributes:
        attempts: tries in all, the first included.
        budget: seconds of waiting in all.
        base: most seconds of the first wait; each later one may be twice as long.
        cap: most seconds of any wait that the server did not ask for.
    """

    attempts: int = 4
    budget: float = 20.0
    base: float = 0.25
    cap: float = 5.0


NO_RETRY = Retry(attempts=1)


class Backoff:
    """The retries of one request: counts attempts and spends the budget.

    Args:
        deadline: `clock()` time that no wait may reach into.
        uniform, clock: replaced in tests.
    """

    def __init__(
        self,
        retry: Retry,
        deadline: float,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry, self._deadline, self._uniform, self._clock = retry, deadline, uniform, clock
        self._attempt = 0
        self._spent = 0.0

    def wait_after(self, error: DecoderError) -> float | None:
        """Seconds to wait before the next try, or None when this error is the answer."""
        self._attempt += 1
        if self._attempt >= self._retry.attempts or not isinstance(error, RETRYABLE):
            return None
        wait = self._jittered(error)
        if self._spent + wait > self._retry.budget or self._clock() + wait >= self._deadline:
            return None
        self._spent += wait
        return wait

    def _jittered(self, error: DecoderError) -> float:
        ceiling = min(self._retry.cap, self._retry.base * 2.0 ** (self._attempt - 1))
        asked = error.retry_after if isinstance(error, RateLimited) else None
        if asked is None:
            return self._uniform(0.0, ceiling)
        # Never earlier than asked; the jitter keeps those who were told the same moment apart.
        return asked + self._uniform(0.0, min(ceiling, 0.1 * asked + 0.05))


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date; None when it is neither.

    Args:
        now: seconds since the epoch, the present by default.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else None
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - (time.time() if now is None else now))
