"""Writes what hearth-tiny is trained on: files of rows, the same for the same seed and the same public files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from alignment.tiny import rows
from alignment.tiny.arithmetic import drill, problem
from alignment.tiny.copying import LONGEST, cited, copied, looked_up
from alignment.tiny.dialogue import SMALL_TALK, dialogue
from alignment.tiny.errands import errand
from alignment.tiny.facts import grounded
from alignment.tiny.grounding import brief, wordy
from alignment.tiny.preferences import pair, prompt
from alignment.tiny.public import paragraphs, school_problems
from alignment.tiny.records import order
from alignment.tiny.words import Split
from ui.tiny.agent_rows import ALL, Conversations

Row = dict[str, Any]
WITHOUT_SEARCH = ("calculator", "clock")


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of each kind."""

    solved: int
    direct: int
    grounded: int
    errands: int
    dialogues: int
    orders: int
    drills: int = 0
    copied: int = 0
    paragraphs: int = 0
    problems: int = 0
    small_talk: int = 0

    def scaled(self, factor: float) -> Counts:
        """So many times as many, at least one where there are any."""
        counts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Counts(**{name: max(1, round(count * factor)) if count else 0 for name, count in counts.items()})


COPYING = Counts(solved=2000, direct=1000, grounded=4000, errands=500, dialogues=1000, orders=1000, copied=60000)
PRETRAIN = Counts(
    drills=17000, copied=14000, solved=60000, direct=6000, grounded=60000, errands=10000, dialogues=12000, orders=7000,
    paragraphs=1400, problems=700, small_talk=700,
)  # fmt: skip
SHORT = Counts(solved=10000, direct=500, grounded=32000, errands=4000, dialogues=3000, orders=1500, small_talk=200)
SFT = Counts(solved=3000, direct=500, grounded=4000, errands=1500, dialogues=500, orders=700, small_talk=150)

PAIRS, PROMPTS = 1500, 1500
HOUSED = Counts(solved=408, direct=132, grounded=528, errands=240, dialogues=132, orders=132, small_talk=24)
"""Rows of supervised training's kinds that stand in the plain text too: so the tokenizer knows the words of the
house's prompts."""
MOST_COPIED = 6
"""Words of a list in the stage whose rows are short: there a list and its copy stand in one row."""


def write(folder: Path, scale: float, seed: int, books: Path | None, school: Path | None) -> dict[str, int]:
    """The training files, and how many rows each has. Without public files their rows are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "copying": [
            *pretraining(seeded(seed, "copying"), COPYING.scaled(scale), None, None, MOST_COPIED),
            *housed(seeded(seed, "words"), HOUSED.scaled(scale)),
        ],
        "pretrain": [
            *pretraining(seeded(seed, "pretrain"), PRETRAIN.scaled(scale), books, school),
            *housed(seeded(seed, "housed"), HOUSED.scaled(scale)),
        ],
        "short": unhoused(seeded(seed, "short"), SHORT.scaled(scale)),
        "sft": supervised(seeded(seed, "sft"), SFT.scaled(scale)),
        "pairs": preferred(seeded(seed, "pairs"), pair, max(1, round(PAIRS * scale))),
        "prompts": preferred(seeded(seed, "prompts"), prompt, max(1, round(PROMPTS * scale))),
    }
    return {name: _write(folder / f"{name}.jsonl", each) for name, each in made.items()}


def preferred(random: Random, make: Callable[[Random, Split], Row], count: int) -> list[Row]:
    """Rows for preference training."""
    return _times(count, lambda: make(random, "train"))


def seeded(seed: int, what: str) -> Random:
    """Drawn from for one file, whatever else is made."""
    return Random(f"{seed} {what}")  # noqa: S311  # the same rows for the same seed; no secret


def pretraining(
    random: Random, counts: Counts, books: Path | None, school: Path | None, longest: int = LONGEST
) -> list[Row]:
    """Rows of text in a drawn order. `longest`: the words of a copied list, at most."""
    made = [
        *_times(counts.drills, lambda: {"text": "\n".join(drill(random) for _ in range(12))}),
        *_times(counts.copied, lambda: {"text": random.choice((copied, looked_up, cited))(random, "train", longest)}),
        *(rows.text(each) for each in short(random, counts)),
        *(paragraphs(books, random, counts.paragraphs) if books else ()),
        *(school_problems(school, random, counts.problems) if school else ()),
    ]
    random.shuffle(made)
    return made


def short(random: Random, counts: Counts) -> list[list[Row]]:
    """Conversations under a few words of instruction or none, kind by kind."""
    agents = Conversations()
    return [
        *_times(counts.solved, lambda: _solved(random)),
        *_times(counts.direct, lambda: _direct(random)),
        *_times(counts.grounded, lambda: _grounded(random)),
        *_times(counts.errands, lambda: agents.of(errand(random, "train"))[1:]),
        *_times(counts.dialogues, lambda: _dialogue(random)),
        *_times(counts.orders, lambda: _order(random)),
        *_times(counts.small_talk, lambda: rows.turns(*random.choice(SMALL_TALK))),
    ]


def housed(random: Random, counts: Counts) -> list[Row]:
    """Conversations under the house's prompts, as text."""
    return [rows.text(row["messages"]) for row in supervised(random, counts, notes=False)]


def unhoused(random: Random, counts: Counts) -> list[Row]:
    """Conversations under a few words of instruction or none, in a drawn order."""
    return _as_messages(random, short(random, counts))


def supervised(random: Random, counts: Counts, notes: bool = True) -> list[Row]:
    """Conversations under the house's prompts, in a drawn order. `notes`: some agents may write notes too."""
    made = [
        *_times(counts.solved, lambda: rows.house_solved(problem(random, "train"))),
        *_times(counts.direct, lambda: rows.house_direct(problem(random, "train"))),
        *_times(counts.grounded, lambda: _house_grounded(random)),
        *_times(counts.dialogues, lambda: _dialogue(random)),
        *_times(counts.orders, lambda: rows.house_order(order(random, "train"))),
        *_times(counts.small_talk, lambda: rows.turns(*random.choice(SMALL_TALK))),
        *_errands(random, counts.errands, notes),
    ]
    return _as_messages(random, made)


def _as_messages(random: Random, made: list[list[Row]]) -> list[Row]:
    random.shuffle(made)
    return [{"messages": each} for each in made]


def _errands(random: Random, count: int, notes: bool) -> Iterator[list[Row]]:
    """With all tools, and half without the knowledge base where the task needs none."""
    whole, fewer = _agents(ALL, notes), _agents(WITHOUT_SEARCH, notes)
    for _ in range(count):
        case = errand(random, "train")
        few = case.needs <= set(WITHOUT_SEARCH) and random.random() < 0.5
        offered = fewer if few else whole
        yield (random.choice(offered) if notes else offered[0]).of(case)


def _agents(names: tuple[str, ...], notes: bool) -> list[Conversations]:
    return [Conversations(names), *([Conversations((*names, "write_note"))] if notes else ())]


def _solved(random: Random) -> list[Row]:
    case = problem(random, "train")
    return rows.turns(case.question, case.solution, system=rows.STEPS)


def _direct(random: Random) -> list[Row]:
    case = problem(random, "train")
    return rows.turns(case.question, str(case.answer), system=rows.NUMBER)


def _grounded(random: Random) -> list[Row]:
    case = grounded(random, "train")
    return rows.short_grounded(case, brief(case))


def _house_grounded(random: Random) -> list[Row]:
    case = grounded(random, "train")
    answer = wordy(case) if random.random() < 0.3 else brief(case)
    return rows.house_grounded(case, answer, random)


def _dialogue(random: Random) -> list[Row]:
    return rows.turns(*(content for turn in dialogue(random, "train") for content in turn))


def _order(random: Random) -> list[Row]:
    case = order(random, "train")
    return rows.turns(case.text, case.json, system=rows.FIELDS)


def _times(count: int, make: Callable[[], Any]) -> list[Any]:
    return [make() for _ in range(count)]


def _write(path: Path, made: Iterable[Row]) -> int:
    lines = [json.dumps(row, ensure_ascii=False) for row in made]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
