"""Tasks for an agent with a calculator, a clock and a knowledge base: what it should think and call, and the answer.

The numbers are too large for a small model's head, the time is the clock's, and the facts are invented: without its
tools nobody can solve them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from alignment.tiny.facts import RELATIONS, Fact, a_subject, grounded
from alignment.tiny.words import THINGS, Split, persons, wording

CITIES = {
    "Berlin": "Europe/Berlin",
    "London": "Europe/London",
    "Madrid": "Europe/Madrid",
    "Moscow": "Europe/Moscow",
    "Cairo": "Africa/Cairo",
    "Tokyo": "Asia/Tokyo",
    "Delhi": "Asia/Kolkata",
    "Sydney": "Australia/Sydney",
    "New York": "America/New_York",
    "Chicago": "America/Chicago",
}
SIGNS = {"+": "plus", "-": "minus", "*": "times"}
SUMS = (
    "What is {a} {word} {b}?",
    "Calculate {a} {word} {b}.",
    "How much is {a} {sign} {b}?",
    "What is {a} {sign} {b}?",
    "Work out {a} {sign} {b}.",
    "{a} {sign} {b}",
    "Compute {a} {word} {b}.",
    "Tell me what {a} {word} {b} is.",
    "What do you get for {a} {sign} {b}?",
    "I need {a} {sign} {b}.",
    "What does {a} {word} {b} make?",
    "Please calculate {a} {sign} {b}.",
    "How much is {a} {word} {b}?",
)
STORIES = {
    "+": (
        "{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?",
        "{n} buys {a} {t}, and {m} gives {n} {b} more. How many {t} has {n}?",
        "There are {a} {t} in a box. {n} adds {b} more. How many are there now?",
        "{n} owns {a} {t} and {m} owns {b}. How many {t} have they together?",
        "On Monday {n} sells {a} {t}, on Tuesday {b}. How many {t} is that?",
        "{n} gets {a} {t}, then {b} more. How many {t} has {n} in the end?",
    ),
    "-": (
        "{n} has {a} {t} and gives {b} of them to {m}. How many {t} does {n} have now?",
        "{n} has {a} {t}. Then {n} sells {b} of them. How many {t} has {n}?",
        "Of {a} {t} of {n}, {b} get lost. How many are left?",
        "{n} owns {a} {t}. {m} takes {b} of them away. How many {t} are left?",
        "There are {a} {t} in a box. {n} takes {b} out. How many are left?",
        "{n} buys {a} {t} and sells {b} of them. How many {t} has {n} in the end?",
    ),
    "*": (
        "{n} has {a} boxes with {b} {t} each. How many {t} does {n} have?",
        "There are {a} {t} in each of {b} boxes. How many {t} are there?",
        "Each of {a} boxes holds {b} {t}. How many {t} are there?",
        "{n} sells {a} {t} a day. How many {t} is that in {b} days?",
        "{n} pays {a} coins for each of {b} {t}. How many coins is that?",
        "{n} buys {a} boxes of {b} {t}. How many {t} has {n}?",
    ),
}
TIME = (
    "What time is it?",
    "What time is it now?",
    "How late is it?",
    "Tell me the time.",
    "What does the clock say?",
    "How late is it now?",
)
DAY = (
    "Which day is it today?",
    "What day is it?",
    "What day of the week is it today?",
    "Which day is today?",
    "Tell me the day of the week.",
    "Which day of the week is it?",
)
TIME_IN = (
    "What time is it in {c}?",
    "What time is it now in {c}?",
    "How late is it in {c}?",
    "Tell me the time in {c}.",
    "What does the clock say in {c}?",
    "In {c}, what time is it?",
    "How late is it now in {c}?",
)
UNKNOWN = "The knowledge base does not say."


@dataclass(frozen=True, slots=True)
class Step:
    """A thought, and the call that follows from it."""

    thought: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Errand:
    """A task, the way to its answer, and the world that it is done in: the time, and what is known.

    Attributes:
        steps: without the last one, which gives the answer.
        concluded: the thought before the answer.
        needs: the tools without which it cannot be done.
    """

    kind: str
    task: str
    steps: tuple[Step, ...]
    concluded: str
    answer: str
    now: datetime
    passages: tuple[str, ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """Names of the tools."""
        return frozenset(step.tool for step in self.steps)


def errand(random: Random, split: Split) -> Errand:
    """A task of any kind."""
    kinds: tuple[Callable[[Random, Split], Errand], ...] = (_sum, _story, _time, _known, _known, _known_times)
    return random.choice(kinds)(random, split)


def _now(random: Random) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(3 * 365 * 24 * 60))


def _amounts(random: Random) -> tuple[int, int, str]:
    sign = random.choice("+-*")
    a, b = random.randint(100, 9999), random.randint(13, 999)
    return (a, b, sign) if a > b or sign != "-" else (b, a, sign)


def _calculated(random: Random, task: str, a: int, b: int, sign: str, kind: str) -> Errand:
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    step = Step(f"I calculate {a} {sign} {b}.", "calculator", {"expression": f"{a} {sign} {b}"})
    return Errand(kind, task, (step,), f"It is {result}.", str(result), _now(random))


def _sum(random: Random, split: Split) -> Errand:
    a, b, sign = _amounts(random)
    shown = "×" if sign == "*" else sign
    task = wording(random, split, SUMS, held_out=2).format(a=a, b=b, word=SIGNS[sign], sign=shown)
    return _calculated(random, task, a, b, sign, "sum")


def _story(random: Random, split: Split) -> Errand:
    a, b, sign = _amounts(random)
    n, m = persons(random, split, 2)
    task = wording(random, split, STORIES[sign]).format(a=a, b=b, n=n, m=m, t=random.choice(THINGS))
    return _calculated(random, task, a, b, sign, "story")


def _time(random: Random, split: Split) -> Errand:
    now = _now(random)
    which = random.randrange(3)
    if which == 0:
        step, answer = Step("I look at the clock.", "clock", {}), f"{now:%H:%M}"
        return Errand("clock", wording(random, split, TIME), (step,), f"It is {answer}.", answer, now)
    if which == 1:
        step, answer = Step("I look at the clock.", "clock", {}), f"{now:%A}"
        return Errand("clock", wording(random, split, DAY), (step,), f"It is {answer}.", answer, now)
    city = random.choice(list(CITIES))
    there = now.astimezone(ZoneInfo(CITIES[city]))
    step = Step(f"I look at the clock of {city}.", "clock", {"zone": CITIES[city]})
    answer = f"{there:%H:%M}"
    return Errand("clock", wording(random, split, TIME_IN).format(c=city), (step,), f"It is {answer}.", answer, now)


def _known(random: Random, split: Split) -> Errand:
    case = grounded(random, split, most=3, unanswered=0.25)
    step = Step("I search the knowledge base.", "knowledge_search", {"query": case.question})
    if not case.answered:
        return Errand("unknown", case.question, (step,), "It is not there.", UNKNOWN, _now(random), case.passages)
    concluded = f"It is {case.span}."
    return Errand("known", case.question, (step,), concluded, case.span, _now(random), case.passages)


PRICES = next(each for each in RELATIONS if "costs" in each.told[0])
SEVERAL = (
    "What is the price of {k} times {s}?",
    "How much does {k} times {s} cost?",
    "How many coins is {k} times {s}?",
    "How much do you pay for {k} times {s}?",
    "I want to buy {s} {k} times. How many coins is that?",
    "How many coins do I need for {k} times {s}?",
    "How many coins does {k} times {s} cost?",
)


def _known_times(random: Random, split: Split) -> Errand:
    subject, price, count = a_subject(random, split, True), random.randint(12, 99), random.randint(12, 99)
    told = Fact(subject, PRICES, f"{price} coins")
    task = wording(random, split, SEVERAL).format(k=count, s=subject)
    steps = (
        Step("I search the knowledge base.", "knowledge_search", {"query": f"What is the price of {subject}?"}),
        Step(f"I calculate {price} * {count}.", "calculator", {"expression": f"{price} * {count}"}),
    )
    result = price * count
    passages = (told.told(random, split),)
    return Errand("search and sum", task, steps, f"It is {result}.", str(result), _now(random), passages)
