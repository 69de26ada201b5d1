"""How long a decoder waits, and for what. In seconds, all of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from decoder.errors import UsageError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of one request.

    Attributes:
        connect: for the connection, TLS included.
        first_token: from the call to the first token of a stream, retries and their waits included.
        between_tokens: from one token of a stream to the next; bytes that complete no token do not count.
        answer: from the call to the end of an answer that is not streamed, retries included.
    """

    connect: float = 5.0
    first_token: float = 120.0
    between_tokens: float = 30.0
    answer: float = 600.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if not getattr(self, item.name) > 0:
                raise UsageError("timeouts", f"{item.name} is not above 0", "Give seconds")
