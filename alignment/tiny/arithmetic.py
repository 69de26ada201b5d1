"""Word problems of one to three steps, each with its worked solution.

A story begins with a number, or with a product, and goes on with changes: more, fewer, so many times, shared. Each has
wordings of its own, the last of which is kept for testing; the verbs of those all occur in training, in other frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from alignment.tiny.words import BOXES, THINGS, Split, persons, wording

LARGEST = 400
"""No number in a problem or its solution is larger."""

OWNED = (
    "{n} has {a} {t}.",
    "{n} finds {a} {t} in a {x}.",
    "{n} buys {a} {t}.",
    "There are {a} {t} in the {x} of {n}.",
    "{n} takes {a} {t} to the market.",
    "{n} owns {a} {t}.",
    "{n} keeps {a} {t} in a {x}.",
    "At first {n} has {a} {t}.",
    "{n} starts with {a} {t}.",
    "A {x} of {n} holds {a} {t}.",
    "In the morning {n} has {a} {t}.",
    "In a {x} {n} has {a} {t}.",
    "On the table of {n} there are {a} {t}.",
    "{n} has a {x} with {a} {t} in it.",
    "In the {x} of {n} there are {a} {t}.",
)
PACKED = (
    "{n} has {b} {x}s with {a} {t} each.",
    "{n} buys {b} {x}s of {a} {t}.",
    "There are {a} {t} in each of the {b} {x}s of {n}.",
    "{n} fills {b} {x}s with {a} {t} each.",
    "{n} owns {b} {x}s, and each holds {a} {t}.",
    "Each of the {b} {x}s of {n} holds {a} {t}.",
    "{n} has {b} {x}s. There are {a} {t} in each {x}.",
    "{n} puts {a} {t} into each of {b} {x}s.",
    "{n} gets {b} {x}s. Each {x} holds {a} {t}.",
    "In the house of {n} there are {b} {x}s with {a} {t} each.",
    "{n} finds {b} {x}s. In each of them there are {a} {t}.",
)
MORE = (
    "{m} gives {n} {b} more.",
    "{n} finds {b} more {t}.",
    "Then {n} buys {b} more.",
    "{n} gets {b} {t} from {m}.",
    "Then {m} brings {n} {b} more.",
    "{n} receives {b} {t} from {m}.",
    "After that {n} picks up {b} more {t}.",
    "{b} more {t} come from {m}.",
    "Later {n} buys another {b}.",
    "Then {n} finds another {b} {t}.",
    "Then {m} hands {b} {t} to {n}.",
    "Then {n} gets {b} more from {m}.",
)
FEWER = (
    "{n} gives {b} of them to {m}.",
    "{n} loses {b} {t}.",
    "Then {n} sells {b} of them.",
    "{m} takes {b} {t} away.",
    "{b} of the {t} break.",
    "Then {n} loses {b} of them.",
    "{n} gives away {b} {t}.",
    "{m} buys {b} {t} from {n}.",
    "Then {b} {t} get lost.",
    "{n} uses up {b} of them.",
    "Later {n} gives {m} {b} {t}.",
    "Then {n} throws {b} {t} away.",
    "{m} borrows {b} of them.",
    "Then {m} takes {b} of them away.",
)
TIMES = (
    "Then {n} gets {b} times as many.",
    "Soon {n} has {b} times as many.",
    "A year later {n} has {b} times as many {t}.",
    "Now {n} has {b} times as many {t} as before.",
    "In the end there are {b} times as many.",
    "After a while {n} has {b} times as many.",
    "Soon there are {b} times as many {t}.",
    "Then {n} has {b} times as many {t}.",
)
SHARED = (
    "{n} shares them equally among {b} friends.",
    "{n} puts them into {b} {x}s, the same number in each.",
    "Then {b} friends share the {t} equally.",
    "{n} divides them equally among {b} friends.",
    "{b} friends get equal shares of them.",
    "{n} gives them to {b} friends, the same number to each.",
    "The {t} are split equally among {b} children.",
    "{b} children share them equally.",
    "The {t} are shared equally among {b} friends.",
)
HOW_MANY = (
    "How many {t} does {n} have now?",
    "How many {t} has {n} now?",
    "How many {t} are there now?",
    "How many {t} does {n} have in the end?",
    "How many {t} are left?",
    "What number of {t} does {n} have now?",
    "How many {t} has {n} got now?",
    "How many {t} are there in the end?",
    "So how many {t} does {n} own?",
    "How many {t} has {n} in the end?",
)
EACH = (
    "How many {t} are there for each?",
    "How many {t} does each get?",
    "How many {t} are in each share?",
    "How many {t} does each one receive?",
    "How many {t} go to each?",
    "How many {t} are there in each part?",
    "How many {t} are there in each share?",
)
CHANGES: dict[str, tuple[str, ...]] = {"+": MORE, "-": FEWER, "×": TIMES, "÷": SHARED}


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its solution: a line a step, and the number that comes out."""

    question: str
    steps: tuple[str, ...]
    answer: int

    @property
    def solution(self) -> str:
        """The steps, and a last line that code can read."""
        return "\n".join([*self.steps, f"Answer: {self.answer}"])


def problem(random: Random, split: Split, steps: int | None = None) -> Problem:
    """A problem of so many calculations, 1 to 3; by default any."""
    wanted = steps or random.choice((1, 2, 2, 3))
    name, other = persons(random, split, 2)
    names = {"n": name, "m": other, "t": random.choice(THINGS), "x": random.choice(BOXES)}
    worked: list[str] = []
    if random.random() < 0.4:
        a, b = random.randint(2, 12), random.randint(2, 12)
        total = a * b
        told = [wording(random, split, PACKED).format(a=a, b=b, **names)]
        worked.append(f"{b} × {a} = {total}")
    else:
        total = random.randint(2, 99)
        told = [wording(random, split, OWNED).format(a=total, **names)]
    asked: tuple[str, ...] = HOW_MANY
    while len(worked) < wanted:
        sign, amount, result = change(random, total, last=len(worked) == wanted - 1)
        told.append(wording(random, split, CHANGES[sign]).format(b=amount, **names))
        worked.append(f"{total} {sign} {amount} = {result}")
        total, asked = result, EACH if sign == "÷" else HOW_MANY
    told.append(wording(random, split, asked).format(**names))
    return Problem(" ".join(told), tuple(worked), total)


def change(random: Random, total: int, last: bool) -> tuple[str, int, int]:
    """What happens to a number: sign, amount and result. Only a `last` step shares."""
    while True:
        sign = random.choice("++--×÷" if last else "++--×")
        amount = random.randint(2, 9) if sign in "×÷" else random.randint(2, 60)
        if sign == "+" and total + amount <= LARGEST:
            return sign, amount, total + amount
        if sign == "-" and amount < total:
            return sign, amount, total - amount
        if sign == "×" and amount <= 5 and total * amount <= LARGEST // 2:
            return sign, amount, total * amount
        if sign == "÷" and total % amount == 0 and total > amount:
            return sign, amount, total // amount


def drill(random: Random) -> str:
    """One calculation, as a line of a solution."""
    if random.random() < 0.25:
        a, b = random.randint(2, 12), random.randint(2, 12)
        return f"{a} × {b} = {a * b}"
    total = random.randint(2, 99) if random.random() < 0.5 else random.randint(2, 300)
    sign, amount, result = change(random, total, last=True)
    return f"{total} {sign} {amount} = {result}"
