"""The parts of a prompt: turns to be rendered, and places where turns are inserted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from decoder.types import Message
from prompts import sandbox
from prompts.budget import Budget
from prompts.variables import as_turns

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


def rendered(part: Turn | Insert, known: Mapping[str, Any], budget: Budget) -> Iterator[Message]:
    """The messages of one part, from checked values; none for a turn that is blank. Raises RenderError leaves."""
    if isinstance(part, Insert):
        for message in as_turns(known[part.variable] or ()):
            budget.write(message.text)
            yield message
        return
    text = budget.write(part.text) if part.literal else sandbox.render(sandbox.compiled(part.text), known, budget)
    if text.strip():
        yield Message(part.role, text)


def as_sections(parts: Iterable[Turn | Insert]) -> str:
    """The parts as a prompt's file has them; a text that is literal is shown as it is."""
    return "\n\n".join(
        f"## insert {part.variable}" if isinstance(part, Insert) else f"## {part.role}\n{part.text}" for part in parts
    )


def joined(turn: Turn, text: str, before: bool = False) -> Turn:
    """`turn` with a paragraph of plain text after its own, or before it."""
    added = text if turn.literal else sandbox.escape(text)
    return replace(turn, text=f"{added}\n\n{turn.text}" if before else f"{turn.text}\n\n{added}")
