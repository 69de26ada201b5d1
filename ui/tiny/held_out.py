"""What hearth-tiny is measured on: cases in wordings and with names that training leaves out, drawn by a seed.

As files they are rows for `hearth prompt eval` and for whoever wants to read them; `measure.py` draws the same cases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.tiny import rows
from alignment.tiny.arithmetic import Problem, problem
from alignment.tiny.dialogue import Turns, dialogue
from alignment.tiny.errands import Errand, errand
from alignment.tiny.facts import Grounded, grounded
from alignment.tiny.grounding import brief
from alignment.tiny.records import Order, order
from alignment.tiny.words import names_in
from ui.tiny.data import Row, seeded

MOST_STEPS, MOST_PASSAGES = 3, 5


@dataclass(frozen=True, slots=True)
class HeldOut:
    """As many cases of every kind."""

    problems: tuple[Problem, ...]
    grounded: tuple[Grounded, ...]
    orders: tuple[Order, ...]
    dialogues: tuple[Turns, ...]
    errands: tuple[Errand, ...]


def drawn(cases: int, seed: int) -> HeldOut:
    """So many cases of every kind. Problems take 1, 2 and 3 steps in turn."""
    problems, told, ordered, said, tasks = (
        seeded(seed, f"test {kind}") for kind in ("arithmetic", "grounded", "orders", "dialogues", "errands")
    )
    return HeldOut(
        tuple(problem(problems, "test", 1 + at % MOST_STEPS) for at in range(cases)),
        tuple(grounded(told, "test", most=MOST_PASSAGES) for _ in range(cases)),
        tuple(order(ordered, "test") for _ in range(cases)),
        tuple(dialogue(said, "test") for _ in range(cases)),
        tuple(errand(tasks, "test") for _ in range(cases)),
    )


def apart(cases: int, seed: int) -> tuple[Errand, ...]:
    """Errands that need the knowledge base, no two of which share a name: each is right with the passages of all."""
    random, seen = seeded(seed, "test knowledge"), set[str]()
    found: list[Errand] = []
    while len(found) < cases:
        case = errand(random, "test")
        names = names_in(" ".join((case.task, *case.passages)))
        if case.passages and not names & seen:
            found.append(case)
            seen |= names
    return tuple(found)


def write(folder: Path, cases: int, seed: int) -> dict[str, int]:
    """The test files, and how many rows each has."""
    folder.mkdir(parents=True, exist_ok=True)
    held = drawn(cases, seed)
    made = {
        "arithmetic": solved_rows(held.problems),
        "arithmetic-direct": direct_rows(held.problems),
        "grounded": grounded_rows(held.grounded),
        "orders": order_rows(held.orders),
        "dialogues": list(_dialogue_rows(held.dialogues)),
        "errands": list(_errand_rows(held.errands)),
    }
    for name, each in made.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in each)
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: len(each) for name, each in made.items()}


def solved_rows(problems: Sequence[Problem]) -> list[Row]:
    """For the library's `zero-shot-cot`."""
    return [{"id": str(at), "question": each.question, "answer": each.answer} for at, each in enumerate(problems)]


def direct_rows(problems: Sequence[Problem]) -> list[Row]:
    """For `zero-shot`."""
    return [
        {"id": str(at), **rows.direct_task(), "input": each.question, "answer": each.answer}
        for at, each in enumerate(problems)
    ]


def grounded_rows(cases: Sequence[Grounded]) -> list[Row]:
    """For `grounded-answer`; the right answer to what the passages do not hold is the refusal."""
    return [
        {"id": str(at), "question": case.question, "passages": _quoted(case), "answer": brief(case)}
        for at, case in enumerate(cases)
    ]


def order_rows(orders: Sequence[Order]) -> list[Row]:
    """The sentence, and the record as JSON."""
    return [{"id": str(at), "input": each.text, "answer": each.record} for at, each in enumerate(orders)]


def _quoted(case: Grounded) -> list[dict[str, str]]:
    return [{"text": told, "label": f"notes.txt, line {line}"} for line, told in enumerate(case.passages, 1)]


def _dialogue_rows(dialogues: Sequence[Turns]) -> Iterator[dict[str, Any]]:
    for at, turns in enumerate(dialogues):
        said = rows.turns(*(content for turn in turns for content in turn))
        yield {"id": str(at), "messages": said[:-1], "answer": said[-1]["content"]}


def _errand_rows(errands: Sequence[Errand]) -> Iterator[dict[str, Any]]:
    for at, case in enumerate(errands):
        facts = {"now": case.now.isoformat(), "passages": list(case.passages), "needs": sorted(case.needs)}
        yield {"id": str(at), "kind": case.kind, "task": case.task, **facts, "answer": case.answer}
