"""What one rendering may spend: steps of loops and filters, and characters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prompts.errors import TooMuchText
from prompts.variables import STEP

MOST_CHARACTERS = 2_000_000
"""Of all values together, and of a rendered prompt."""
MOST_STEPS = 100_000
CHARACTERS_A_STEP = 1000
"""Characters that a filter may read or make for the price of a turn of a loop."""


@dataclass
class Budget:
    """What one rendering may still spend."""

    steps: int = MOST_STEPS
    characters: int = MOST_CHARACTERS

    def spend(self, steps: int = 1) -> None:
        """Raise TooMuchText once the steps are used up."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuchText(STEP, f"it takes more than {MOST_STEPS} steps", "Loop over fewer items")

    def write(self, text: str) -> str:
        """`text`, counted. Raises TooMuchText once there are too many characters."""
        self.characters -= len(text)
        if self.characters < 0:
            raise TooMuchText(STEP, f"it holds more than {MOST_CHARACTERS} characters", "Give shorter values")
        return text

    def admit(self, values: Iterable[Any]) -> None:
        """Raise TooMuchText where the values alone are too much."""
        if sum(map(size, values)) > self.characters:
            raise TooMuchText(STEP, f"the values hold more than {MOST_CHARACTERS} characters", "Give shorter values")


def size(value: Any) -> int:
    """About how many characters plain data holds."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + size(item) + 1 for key, item in value.items())
    return sum(size(item) + 1 for item in value) if isinstance(value, (list, tuple)) else 1
