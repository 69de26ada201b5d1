"""What extraction finds, and what a kind of answer has to know: data that the kinds share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """An answer.

    Attributes:
        key: the same for answers that mean the same.
        text: the words that it was read from.
        unit: of a number, as written after it, or its currency; no part of the key.
        announced: something like "the answer is" pointed to it, so a text that is cut off later still has it.
    """

    key: str
    text: str
    unit: str = ""
    announced: bool = False


UNCLEAR = Found("", "")
"""What `Seek.announced` returns for an announcement that names several answers, or a calculation and no result."""


def equal_keys(first: Found, second: Found) -> bool:
    """Whether two answers mean the same."""
    return first.key == second.key


@dataclass(frozen=True, slots=True)
class Seek:
    """How one kind of answer is read.

    Attributes:
        announced: from the words after an announcement: a sentence, a line, or the inside of a box. None when they
            hold nothing of this kind, UNCLEAR when they do and it is no one answer.
        loose: from a whole text that announces nothing.
        alone: from an answer and nothing else.
        places: whether announcements are looked for.
    """

    announced: Callable[[str], Found | None]
    loose: Callable[[str], Found | None]
    alone: Callable[[str], Found | None]
    same: Callable[[Found, Found], bool] = equal_keys
    places: bool = True
