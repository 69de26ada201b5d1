"""Writes the data sets that ship with alignment/: `python examples/build_alignment_data.py [FOLDER]`.

All of it is our own text, put together by a seeded generator: the same files come out every time.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from alignment_facts import (
    BEFORE,
    GREETINGS,
    REFUSAL,
    REFUSED,
    REFUSED_ASKS,
    THANKS,
    UNKNOWN,
    Fact,
    facts,
)
from alignment_stories import habits, how_to, lesson, story, talk

FOLDER = Path(__file__).resolve().parents[1] / "alignment" / "examples"
SEED = 2026
HELD_OUT = 3  # the way of asking that no training row uses

OPENINGS = (
    "That is a really good question, and many people have asked it before.",
    "Well, there is a lot that one could say about this, and it is hard to know where to begin.",
    "Thank you so much for asking me this, I am always happy to talk about such things.",
    "Before I come to your question, let me say a few words about questions in general.",
    "Hmm, let me think about it for a while, because one should never answer in a hurry.",
    "As you may know, people have thought about {0} for a very long time.",
)
MIDDLES = (
    "Some people know a lot about {0}, and others know nothing about it at all.",
    "One could read many books about {0} and still not be done.",
    "It also depends on how you look at it, as most things do.",
    "I could tell you a long story about it, but that would take the whole evening.",
    "There are many other things that one might ask about {0} as well.",
    "It is always good to be curious, and I hope that you stay so.",
)
CLOSINGS = (
    "So, if I had to say something, I would say this: {1}",
    "And now, after all of this, here is what I think: {1}",
    "To make a long story short, which I should have done before: {1}",
)

Row = dict[str, Any]


def user(text: str) -> Row:
    """A turn of the user."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Row:
    """A turn of the assistant."""
    return {"role": "assistant", "content": text}


def ramble(chance: random.Random, fact: Fact, value: str = "") -> str:
    """An answer that takes its time."""
    parts = [chance.choice(OPENINGS), *chance.sample(MIDDLES, chance.randint(1, 2)), chance.choice(CLOSINGS)]
    return " ".join(parts).format(fact.relation.name, fact.told(value))


def question(chance: random.Random, fact: Fact, way: int | None = None) -> str:
    """The fact's question, in a way that training uses."""
    return chance.choice(BEFORE) + fact.ask(chance.randrange(HELD_OUT) if way is None else way)


def conversation(chance: random.Random, listed: list[Fact]) -> Row:
    """A conversation of one to three questions."""
    kind = chance.random()
    if kind < 0.12:
        what, offer = chance.choice(REFUSED)
        asked = chance.choice(REFUSED_ASKS[:HELD_OUT]).format(what)
        return {"messages": [user(asked), assistant(REFUSAL.format(offer))]}
    if kind < 0.18:
        asked, said = chance.choice(UNKNOWN)
        return {"messages": [user(chance.choice(BEFORE) + asked), assistant(said)]}
    fact = chance.choice(listed)
    turns = [user(question(chance, fact)), assistant(fact.answer())]
    if kind < 0.30:
        hello, reply = chance.choice(GREETINGS)
        turns = [user(hello), assistant(reply), user(fact.ask(chance.randrange(HELD_OUT))), assistant(fact.answer())]
    elif kind < 0.50:
        other = chance.choice([one for one in listed if one.relation == fact.relation and one != fact])
        turns += [user(other.follow()), assistant(other.answer())]
    if chance.random() < 0.15:
        thanks, reply = chance.choice(THANKS)
        turns += [user(thanks), assistant(reply)]
    return {"messages": turns}


def evaluation(chance: random.Random, listed: list[Fact]) -> Row:
    """What training knows, asked in another way."""
    if chance.random() < 0.12:
        what, offer = chance.choice(REFUSED)
        return {"messages": [user(REFUSED_ASKS[HELD_OUT].format(what)), assistant(REFUSAL.format(offer))]}
    fact = chance.choice(listed)
    return {"messages": [user(fact.ask(HELD_OUT)), assistant(fact.answer())]}


def preference(chance: random.Random, listed: list[Fact]) -> Row:
    """Short and right beats long, and beats wrong."""
    fact = chance.choice(listed)
    worse = ramble(chance, fact) if chance.random() < 0.6 else fact.answer(fact.mistakes(chance, 1)[0])
    prompt = [user(question(chance, fact))]
    return {"prompt": prompt, "chosen": [assistant(fact.answer())], "rejected": [assistant(worse)]}


def ranking(chance: random.Random, listed: list[Fact]) -> Row:
    """Four answers: short and right, long and right, and two that are wrong, which tie when both are short."""
    fact = chance.choice(listed)
    first, second = fact.mistakes(chance, 2)
    tie = chance.random() < 0.4
    ranked = [(1, fact.answer()), (2, ramble(chance, fact)), (3, fact.answer(first))]
    ranked.append((3, fact.answer(second)) if tie else (4, ramble(chance, fact, second)))
    chance.shuffle(ranked)
    prompt = [user(question(chance, fact))]
    return {"prompt": prompt, "responses": [said for _, said in ranked], "ranks": [rank for rank, _ in ranked]}


def vote(chance: random.Random, listed: list[Fact]) -> Row:
    """One answer, liked or not."""
    pair = preference(chance, listed)
    label = chance.random() < 0.5
    return {"prompt": pair["prompt"], "completion": pair["chosen" if label else "rejected"], "label": label}


def prompt(chance: random.Random, listed: list[Fact]) -> Row:
    """A question, with what a right answer has in it for a reward function."""
    fact = chance.choice(listed)
    return {"prompt": [user(question(chance, fact))], "answer": fact.value}


def text(chance: random.Random, listed: list[Fact]) -> Row:
    """A story, a habit, a talk, a lesson, or how something is done."""
    kind = chance.choices(("story", "habits", "talk", "lesson", "how"), (40, 15, 25, 12, 8))[0]
    made: dict[str, Callable[[], str]] = {
        "story": lambda: story(chance),
        "habits": lambda: habits(chance),
        "talk": lambda: talk(chance, listed),
        "lesson": lambda: lesson(chance, listed),
        "how": lambda: how_to(chance),
    }
    return {"text": made[kind]()}


SETS: tuple[tuple[str, Callable[[random.Random, list[Fact]], Row], int], ...] = (
    ("conversations", conversation, 600),
    ("conversations-eval", evaluation, 150),
    ("preferences", preference, 450),
    ("rankings", ranking, 200),
    ("votes", vote, 450),
    ("prompts", prompt, 400),
    ("text", text, 2800),
)


def unique(make: Callable[[], Row], count: int) -> Iterator[Row]:
    """So many rows, no two the same."""
    seen: set[str] = set()
    while len(seen) < count:
        row = make()
        key = json.dumps(row, sort_keys=True)
        if key not in seen:
            seen.add(key)
            yield row


def write(path: Path, rows: Iterable[Row]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def build(folder: Path) -> None:
    """Write every set into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = facts(random.Random(SEED))
    for name, make, count in SETS:
        chance = random.Random(f"{SEED} {name}")
        write(folder / f"{name}.jsonl", unique(lambda make=make, chance=chance: make(chance, listed), count))


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
