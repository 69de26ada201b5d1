"""When people change their minds or disagree: what counts, and what becomes of every event that does not.

The last word of a person counts; among persons, the majority; where there is none, nothing. Each event ends either
used or left out for one reason, so that the two together are all there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

V = TypeVar("V", bound=Hashable)

CHANGED, OUTVOTED, UNDECIDED = (
    "the same person said something else later",
    "more persons said something else",
    "persons disagree, with no majority",
)
REPEATED, TOO_FEW = "the same person said it again later", "too few persons said so"


@dataclass(frozen=True, slots=True)
class Statement(Generic[V]):
    """Somebody's word on one question; `event` is where they said it."""

    event: str
    person: str
    value: V

    @property
    def voter(self) -> str:
        """Who said it. Nobody known is somebody else each time."""
        return f"person {self.person}" if self.person else f"event {self.event}"


@dataclass(slots=True)
class Ledger:
    """What becomes of each event, and how many questions people did not agree on.

    Attributes:
        conflicts: "changed" (of persons), "by_majority" and "undecided" (of questions).
    """

    fates: dict[str, str] = field(default_factory=dict)
    conflicts: Counter[str] = field(default_factory=Counter)

    def use(self, events: Iterable[str]) -> None:
        """They are behind a row."""
        self.fates.update(dict.fromkeys(events, ""))

    def leave(self, events: Iterable[str], reason: str) -> None:
        """They are not, unless they are behind another row."""
        for event in events:
            if self.fates.get(event) != "":
                self.fates[event] = reason

    @property
    def used(self) -> int:
        """Events behind a row."""
        return sum(not reason for reason in self.fates.values())

    @property
    def left_out(self) -> Counter[str]:
        """Events behind none, by reason."""
        return Counter(reason for reason in self.fates.values() if reason)


@dataclass(frozen=True, slots=True)
class Settled(Generic[V]):
    """What counts on one question, and the events that say so, in order."""

    value: V
    events: tuple[str, ...]


def settle(statements: Sequence[Statement[V]], least: int, ledger: Ledger) -> Settled[V] | None:
    """The answer to one question, or None; statements come in the order in which they were made.

    Args:
        least: persons that have to say so.
    """
    last: dict[str, Statement[V]] = {}
    for statement in statements:
        earlier = last.pop(statement.voter, None)
        if earlier is not None:
            changed = earlier.value != statement.value
            ledger.leave([earlier.event], CHANGED if changed else REPEATED)
            if changed:
                ledger.conflicts["changed"] += 1
        last[statement.voter] = statement
    ranked = Counter(statement.value for statement in last.values()).most_common()
    if not ranked:
        return None
    value, support = ranked[0]
    everybody = [statement.event for statement in last.values()]
    if len(ranked) > 1 and ranked[1][1] == support:
        ledger.conflicts["undecided"] += 1
        ledger.leave(everybody, UNDECIDED)
        return None
    if len(ranked) > 1:
        ledger.conflicts["by_majority"] += 1
    behind = tuple(statement.event for statement in last.values() if statement.value == value)
    ledger.leave([event for event in everybody if event not in behind], OUTVOTED)
    if support < least:
        ledger.leave(behind, TOO_FEW)
        return None
    return Settled(value, behind)
