"""How much text one parser may write, so that a small file which repeats itself ends before the memory does."""

from __future__ import annotations

from rag.errors import DocumentLimit

MOST_CHARACTERS = 50_000_000
"""More than any caller's limit of text; cells and keys are shared while they are read, and copied when written."""
MOST_CELLS = 2_000_000


class Budget:
    """Counts down what is written; raises DocumentLimit at the end."""

    def __init__(self, most: int = MOST_CHARACTERS, of: str = "characters of text") -> None:
        self._left, self._most, self._of = most, most, of

    def spend(self, amount: int) -> None:
        """Take `amount`, or raise DocumentLimit when there is not so much left."""
        self._left -= amount
        if self._left < 0:
            raise DocumentLimit("loading", f"it holds more than {self._most} {self._of}", "Split it")
