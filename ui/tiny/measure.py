"""All measures of hearth-tiny in one run, on cases that are drawn anew from a seed and were never trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ui.tiny.arithmetic import arithmetic
from ui.tiny.asked import dialogues, orders
from ui.tiny.errands import errands, knowledge
from ui.tiny.grounding import grounding, squad
from ui.tiny.held_out import apart, drawn
from ui.tiny.scores import Measure, Tell

if TYPE_CHECKING:
    from decoder.base import Decoder

NAMES = ("arithmetic", "agent", "knowledge", "grounded", "squad", "orders", "dialogues")
VOTED, FILED, PUBLIC = 0.3, 0.2, 0.5
"""Parts of the number of cases that dearer measures take: votes of many chains, a knowledge base, SQuAD."""
Run: TypeAlias = Callable[[Tell], Measure]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured.

    Attributes:
        cases: of each measure, at least 1; those that cost more take a part of them.
        only: names of measures; all when empty.
        squad: SQuAD 1.1's JSON file; without it that measure is left out.
    """

    cases: int = 200
    seed: int = 0
    only: Sequence[str] = ()
    squad: Path | None = None


def measured(decoder: Decoder, wanted: Wanted, tell: Tell = lambda _: None) -> Iterator[Measure]:
    """One measure after the other, as they are done.

    Raises:
        UsageError: SQuAD's file cannot be read.
        ServiceError: the decoder failed so often in a row that it must be gone.
    """
    for name, run in _runs(decoder, wanted).items():
        if not wanted.only or name in wanted.only:
            yield run(tell)


def _runs(decoder: Decoder, wanted: Wanted) -> dict[str, Run]:
    held, seed = drawn(wanted.cases, wanted.seed), wanted.seed
    runs: dict[str, Run] = {
        "arithmetic": partial(arithmetic, decoder, held.problems, _part(wanted, VOTED)),
        "agent": partial(errands, decoder, held.errands),
        "knowledge": partial(knowledge, decoder, apart(_part(wanted, FILED), seed)),
        "grounded": partial(grounding, decoder, held.grounded),
        "orders": partial(orders, decoder, held.orders),
        "dialogues": partial(dialogues, decoder, held.dialogues),
    }
    if wanted.squad is not None:
        runs["squad"] = partial(squad, decoder, wanted.squad, _part(wanted, PUBLIC), seed)
    return runs


def _part(wanted: Wanted, part: float) -> int:
    return max(1, round(wanted.cases * part))
