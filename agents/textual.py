"""Reads a thought and an action from free text, for decoders that cannot be constrained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Unreadable(ValueError):
    """The text holds no action that can be read; the message is for the decoder."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What was read. `tool` may be final_answer."""

    thought: str
    tool: str
    arguments: Mapping[str, Any]


def read_turn(text: str) -> Turn:
    """The thought and the first action of a text. Raises Unreadable."""
    raise NotImplementedError
