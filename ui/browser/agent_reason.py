"""Why an approval is asked for, where that says more than the heading does."""

from __future__ import annotations


def told(tool: str, effect: str, reason: str) -> str:
    """The reason, or nothing where it is only that the tool has an effect: the heading says which."""
    return "" if reason.startswith(f"{tool} has the effect {effect}") else reason
