"""What every way of cutting needs: the text, a bound in tokens, and the cutting of last resort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from rag.structure import Span


class Cutter(Protocol):
    """The bounds of one run over one text. Spans are offsets into `text`."""

    text: str
    max_tokens: int

    def count(self, text: str, /) -> int:
        """Tokens in a text."""

    def fits(self, start: int, end: int, limit: int | None = None) -> bool:
        """Whether a span has at most `limit` tokens, `max_tokens` when None."""

    def trim(self, start: int, end: int) -> Span:
        """The span without white space around it."""

    def lines(self, start: int, end: int) -> Iterator[Span]:
        """A span by lines, longer ones by words, each part fitting."""

    def bounded(self, start: int, end: int, limit: int | None = None) -> Iterator[Span]:
        """Halves of a span, and of these, until each fits."""
