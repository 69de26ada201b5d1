"""The parts of a prompt: turns to be rendered, and places where turns are inserted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from prompts import sandbox

TurnRole: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message to be.

    Attributes:
        text: a template, or the very text when `literal`.
        line: where the text begins in its file, for errors.
    """

    role: TurnRole
    text: str
    literal: bool = False
    line: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Insert:
    """The place of a variable of type "messages" or "examples", whose turns are inserted as they are."""

    variable: str
    line: int = field(default=1, compare=False)


def names(part: Turn | Insert) -> frozenset[str]:
    """The variables that a part of a prompt uses. Raises sandbox.BadTemplate."""
    if isinstance(part, Insert):
        return frozenset({part.variable})
    return frozenset() if part.literal else sandbox.compiled(part.text).names


def joined(turn: Turn, text: str, before: bool = False) -> Turn:
    """`turn` with a paragraph of plain text after its own, or before it."""
    added = text if turn.literal else sandbox.escape(text)
    return replace(turn, text=f"{added}\n\n{turn.text}" if before else f"{turn.text}\n\n{added}")
