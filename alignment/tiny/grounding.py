"""Grounded answers as conversations: a brief one, a wordy one, and the refusal.

Both kinds cite the passage. Supervised training shows both, so that preference training has something to choose: the
stated preference is for the answer first, in few words, with its citation.
"""

from __future__ import annotations

from alignment.tiny.facts import Grounded
from alignment.tiny.words import capitalised
from prompts.grounded import REFUSAL


def brief(case: Grounded) -> str:
    """The answer first, with its citation; or that the passages do not tell."""
    return f"{capitalised(case.span)} [{case.passage}]." if case.answered else REFUSAL


def wordy(case: Grounded) -> str:
    """The passage first and the answer last."""
    if not case.answered:
        return REFUSAL
    told = case.passages[case.passage - 1]
    return f"Passage {case.passage} says: {told} So the answer is {case.span} [{case.passage}]."
