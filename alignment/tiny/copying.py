"""Drills in copying: lists said twice, pairs looked up again in another order, words cited by their lines' numbers.

Everything that a model does with invented names rests on finding an earlier place in the text and going on as it goes
on there (induction, Olsson et al. 2022). Here half of all tokens train it; a question has one name in its answer.
"""

from __future__ import annotations

from random import Random

from alignment.tiny.words import THINGS, Split, distinct, person, place

LONGEST = 12
"""Words of a list, at most."""
DIGITS = (1, 2, 2, 3, 3, 4, 5, 6, 7)
"""Of a number: up to seven, as what calculators give."""


def copied(random: Random, split: Split, longest: int = LONGEST) -> str:
    """A list of a third to all of `longest` names and numbers, twice."""
    line = ", ".join(distinct(lambda: _word(random, split), random.randint(longest // 3, longest)))
    return f"{line}\n{line}"


def looked_up(random: Random, split: Split, longest: int = LONGEST) -> str:
    """Pairs, a line each, two thirds of `longest` at most; then the same pairs in another order."""
    keys = distinct(lambda: person(random, split), random.randint(longest // 4, longest * 2 // 3))
    lines = [f"{key}: {_word(random, split)}" for key in keys]
    return "\n".join([*lines, *random.sample(lines, len(lines))])


def cited(random: Random, split: Split, longest: int = LONGEST) -> str:
    """Numbered lines of one to three words; then the words in another order, each with the number of its line."""
    words = distinct(lambda: _word(random, split), random.randint(longest // 3, longest))
    lines: list[list[str]] = []
    while sum(map(len, lines)) < len(words):
        begun = sum(map(len, lines))
        lines.append(words[begun : begun + random.randint(1, 3)])
    told = [f"[{number}] {', '.join(line)}" for number, line in enumerate(lines, 1)]
    found = [f"{word} [{number}]." for number, line in enumerate(lines, 1) for word in line]
    return "\n".join([*told, *random.sample(found, len(found))])


def _word(random: Random, split: Split) -> str:
    kind = random.randrange(5)
    if kind < 2:
        return (person, place)[kind](random, split)
    if kind == 2:
        return f"{random.randint(2, 999)} {random.choice(THINGS)}"
    if kind == 3 and random.random() < 0.3:
        return f"{random.randrange(24):02}:{random.randrange(60):02}"
    digits = random.choice(DIGITS)
    return str(random.randrange(10 ** (digits - 1), 10**digits))
