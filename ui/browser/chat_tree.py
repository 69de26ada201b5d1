"""The turns of a conversation as a tree: the branch that is shown, and the versions of a turn."""

from __future__ import annotations

from collections.abc import Sequence

from decoder.types import Message, assistant, user
from ui.browser.chat_types import Turn

MOST_TURNS = 20
"""Earlier turns that are sent along; what does not fit the decoder's context is left out by the room."""


def branch(turns: Sequence[Turn], leaf: str) -> list[Turn]:
    """From the first turn to `leaf`; to the latest turn when that is not there."""
    by_id = {turn.id: turn for turn in turns}
    at = by_id.get(leaf) or (turns[-1] if turns else None)
    path: dict[str, Turn] = {}
    while at is not None and at.id not in path:
        path[at.id] = at
        at = by_id.get(at.parent)
    return list(path.values())[::-1]


def versions(turns: Sequence[Turn], turn: Turn) -> list[Turn]:
    """The turns in the place of this one, itself among them, the oldest first."""
    return [each for each in turns if each.parent == turn.parent]


def end_of(turns: Sequence[Turn], turn: str) -> str:
    """The latest end of the branches through a turn."""
    at = turn
    while below := [each for each in turns if each.parent == at]:
        at = below[-1].id
    return at


def heard(path: Sequence[Turn], kb: str) -> tuple[Message, ...]:
    """What the decoder is to remember: the turns with this knowledge base that were answered.

    In plain talk an answer that was stopped was still said.
    """
    states = ("done",) if kb else ("done", "stopped")
    said = [turn for turn in path if turn.kb == kb and turn.state in states and turn.shown_text.strip()]
    answered = [turn for turn in said if not (turn.answer and turn.answer.refused)][-MOST_TURNS:]
    return tuple(message for turn in answered for message in (user(turn.question), assistant(turn.shown_text)))
