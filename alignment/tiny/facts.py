"""Facts about people and things that nobody can know, told in passages, and questions about them.

A passage tells of one subject, or of two. Some questions have no answer in any passage: the subject is there with other
facts, or the fact is there of another subject. The last wording of each fact and each question is kept for testing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from alignment.tiny.words import (
    COLOURS,
    DAYS,
    OBJECTS,
    THINGS,
    TRADES,
    Split,
    capitalised,
    distinct,
    person,
    place,
    wording,
)

Draw = Callable[[Random, Split], str]


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that can be told of a subject: how it is told, how it is asked for, what its value can be."""

    told: tuple[str, ...]
    asked: tuple[str, ...]
    value: Draw
    of_person: bool = True


def _one_of(words: Sequence[str]) -> Draw:
    return lambda random, split: random.choice(words)


def _year(random: Random, split: Split) -> str:
    return str(random.randint(1700, 2020))


def _price(random: Random, split: Split) -> str:
    return f"{random.randint(2, 99)} coins"


def _count(random: Random, split: Split) -> str:
    return f"{random.randint(2, 99)} {random.choice(THINGS)}"


RELATIONS = (
    Relation(
        ("{s} was born in {v}.", "{v} is the town where {s} was born.", "The town where {s} was born is {v}."),
        ("Where was {s} born?", "In which town was {s} born?", "What is the town where {s} was born?"),
        place,
    ),
    Relation(
        ("{s} lives in {v}.", "The home of {s} is in {v}.", "{v} is the town where {s} lives."),
        ("Where does {s} live?", "Where is the home of {s}?", "In which town does {s} live?"),
        place,
    ),
    Relation(
        ("{s} works as a {v}.", "The work of {s} is that of a {v}.", "As a {v}, {s} works every day."),
        ("What is the work of {s}?", "As what does {s} work?", "What work does {s} do?"),
        _one_of(TRADES),
    ),
    Relation(
        ("{s} is married to {v}.", "{v} and {s} are married.", "It is {v} to whom {s} is married."),
        ("Who is married to {s}?", "To whom is {s} married?", "{s} is married to whom?"),
        person,
    ),
    Relation(
        ("{s} owns {v}.", "There are {v} in the house of {s}.", "In the house of {s} there are {v}."),
        ("What does {s} own?", "What is in the house of {s}?", "What is there in the house of {s}?"),
        _count,
    ),
    Relation(
        ("{s} goes to the market on {v}.", "On {v}, {s} goes to the market.", "It is {v} when {s} goes to the market."),
        (
            "When does {s} go to the market?",
            "On which day does {s} go to the market?",
            "Which day does {s} go to the market?",
        ),
        _one_of(DAYS),
    ),
    Relation(
        ("{s} was made in {v}.", "In {v}, somebody made {s}.", "The year in which somebody made {s} is {v}."),
        ("When was {s} made?", "In which year was {s} made?", "What is the year in which {s} was made?"),
        _year,
        of_person=False,
    ),
    Relation(
        ("{s} is kept in {v}.", "In {v} people keep {s}.", "People keep {s} in {v}."),
        ("Where is {s} kept?", "In which town is {s} kept?", "Where do people keep {s}?"),
        place,
        of_person=False,
    ),
    Relation(
        ("{s} belongs to {v}.", "{v} is the owner of {s}.", "The owner of {s} is {v}."),
        ("To whom does {s} belong?", "Who is the owner of {s}?", "Who owns {s}?"),
        person,
        of_person=False,
    ),
    Relation(
        ("{s} is painted {v}.", "The colour of {s} is {v}.", "{v} is the colour of {s}."),
        ("What is the colour of {s}?", "Which colour is {s}?", "What colour is {s} painted?"),
        _one_of(COLOURS),
        of_person=False,
    ),
    Relation(
        ("{s} costs {v}.", "The price of {s} is {v}.", "For {v} you can buy {s}."),
        ("What is the price of {s}?", "How much does {s} cost?", "For how much can you buy {s}?"),
        _price,
        of_person=False,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A subject, what is told of it, and the value."""

    subject: str
    relation: Relation
    value: str

    def told(self, random: Random, split: Split) -> str:
        """A sentence."""
        return capitalised(wording(random, split, self.relation.told).format(s=self.subject, v=self.value))

    def asked(self, random: Random, split: Split) -> str:
        """A question whose answer is the value."""
        return capitalised(wording(random, split, self.relation.asked).format(s=self.subject))


@dataclass(frozen=True, slots=True)
class Grounded:
    """Passages, a question about them, and the answer: a span and the number of its passage, from 1; else neither."""

    passages: tuple[str, ...]
    question: str
    span: str = ""
    passage: int = 0

    @property
    def answered(self) -> bool:
        """Whether a passage holds the answer."""
        return self.passage > 0


def fact(random: Random, split: Split, subject: str = "") -> Fact:
    """A fact about a new subject, or another about this one."""
    thing = subject.startswith("the ") if subject else random.random() < 0.4
    relation = random.choice([each for each in RELATIONS if each.of_person != thing])
    return Fact(subject or a_subject(random, split, thing), relation, relation.value(random, split))


def a_subject(random: Random, split: Split, thing: bool) -> str:
    """A person, or a thing that is told from others by a town."""
    return f"the {random.choice(OBJECTS)} of {place(random, split)}" if thing else person(random, split)


def grounded(random: Random, split: Split, most: int = 5, unanswered: float = 0.3) -> Grounded:
    """A question on one to `most` passages; with the probability `unanswered` none of them holds the answer."""
    count = random.randint(1, most)
    subjects = distinct(lambda: a_subject(random, split, random.random() < 0.4), count)
    facts = [[fact(random, split, subject)] for subject in subjects]
    for known in facts:
        if random.random() < 0.4:
            known.append(_other(random, split, known[0]))
    at = random.randrange(count)
    passages = tuple(" ".join(each.told(random, split) for each in random.sample(known, len(known))) for known in facts)
    if random.random() >= unanswered:
        wanted = random.choice(facts[at])
        return Grounded(passages, wanted.asked(random, split), wanted.value, at + 1)
    return Grounded(passages, _unanswered(random, split, facts[at]).asked(random, split))


def _other(random: Random, split: Split, known: Fact) -> Fact:
    while True:
        other = fact(random, split, known.subject)
        if other.relation is not known.relation:
            return other


def _unanswered(random: Random, split: Split, known: Sequence[Fact]) -> Fact:
    """Something else of the same subject, or the same of another."""
    relations = [each.relation for each in known]
    if random.random() < 0.5:
        return Fact(a_subject(random, split, not relations[0].of_person), relations[0], "")
    while True:
        other = fact(random, split, known[0].subject)
        if other.relation not in relations:
            return other
