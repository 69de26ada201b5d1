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
        (
            "{s} was born in {v}.", "{v} is the town where {s} was born.", "The birthplace of {s} is {v}.",
            "{s} comes from {v}.", "It was in {v} that {s} was born.", "{v} is the birthplace of {s}.",
            "The town where {s} was born is {v}.",
        ),
        (
            "Where was {s} born?", "In which town was {s} born?", "What is the birthplace of {s}?",
            "Where does {s} come from?", "Which town was {s} born in?", "From which town does {s} come?",
            "What is the town where {s} was born?",
        ),
        place,
    ),
    Relation(
        (
            "{s} lives in {v}.", "The home of {s} is in {v}.", "{s} has a house in {v}.", "{s} has settled in {v}.",
            "The house of {s} stands in {v}.", "{v} is where {s} has settled.", "{v} is the town where {s} lives.",
        ),
        (
            "Where does {s} live?", "Where is the home of {s}?", "Which town does {s} live in?",
            "Where has {s} settled?", "Where does {s} have a house?", "In what town is the house of {s}?",
            "In which town does {s} live?",
        ),
        place,
    ),
    Relation(
        (
            "{s} works as a {v}.", "The work of {s} is that of a {v}.", "{s} is a {v} by trade.",
            "{s} earns a living as a {v}.", "{s} follows the trade of a {v}.", "The trade of {s} is that of a {v}.",
            "As a {v}, {s} works every day.",
        ),
        (
            "What is the work of {s}?", "As what does {s} work?", "What is {s} by trade?",
            "What does {s} do for a living?", "Which trade does {s} follow?", "What is the trade of {s}?",
            "What work does {s} do?",
        ),
        _one_of(TRADES),
    ),
    Relation(
        (
            "{s} is married to {v}.", "{v} and {s} are married.", "{s} has married {v}.",
            "{s} and {v} are husband and wife.", "The spouse of {s} is {v}.", "{v} is the spouse of {s}.",
            "It is {v} to whom {s} is married.",
        ),
        (
            "Who is married to {s}?", "To whom is {s} married?", "Who is the spouse of {s}?",
            "Whom has {s} married?", "With whom is {s} married?", "What is the name of the spouse of {s}?",
            "{s} is married to whom?",
        ),
        person,
    ),
    Relation(
        (
            "{s} owns {v}.", "There are {v} in the house of {s}.", "{s} keeps {v} at home.", "{s} has bought {v}.",
            "{s} possesses {v}.", "{s} is the owner of {v}.", "In the house of {s} there are {v}.",
        ),
        (
            "What does {s} own?", "What is in the house of {s}?", "What does {s} possess?",
            "What does {s} keep at home?", "What has {s} bought?", "Of what is {s} the owner?",
            "What is there in the house of {s}?",
        ),
        _count,
    ),
    Relation(
        (
            "{s} goes to the market on {v}.", "On {v}, {s} goes to the market.", "{s} visits the market on {v}.",
            "{v} is the market day of {s}.", "{s} can be met at the market on {v}.", "The market day of {s} is {v}.",
            "It is {v} when {s} goes to the market.",
        ),
        (
            "When does {s} go to the market?",
            "On which day does {s} go to the market?",
            "When does {s} visit the market?", "What is the market day of {s}?",
            "On what day does {s} visit the market?", "On which day can {s} be met at the market?",
            "Which day does {s} go to the market?",
        ),
        _one_of(DAYS),
    ),
    Relation(
        (
            "{s} was made in {v}.", "In {v}, somebody made {s}.", "{s} dates from {v}.", "{s} was built in {v}.",
            "{v} is the year in which {s} was made.", "Somebody built {s} in {v}.",
            "The year in which somebody made {s} is {v}.",
        ),
        (
            "When was {s} made?", "In which year was {s} made?", "When was {s} built?",
            "From which year does {s} date?", "In what year was {s} built?", "Which year does {s} date from?",
            "What is the year in which {s} was made?",
        ),
        _year,
        of_person=False,
    ),
    Relation(
        (
            "{s} is kept in {v}.", "In {v} people keep {s}.", "{s} stands in {v}.", "{s} can be seen in {v}.",
            "{v} is the town that keeps {s}.", "You find {s} in {v}.", "People keep {s} in {v}.",
        ),
        (
            "Where is {s} kept?", "In which town is {s} kept?", "Where does {s} stand?", "Where can {s} be seen?",
            "Where do you find {s}?", "Which town keeps {s}?", "Where do people keep {s}?",
        ),
        place,
        of_person=False,
    ),
    Relation(
        (
            "{s} belongs to {v}.", "{v} is the owner of {s}.", "{s} is the property of {v}.",
            "{s} is in the hands of {v}.", "{v} holds {s}.", "{v} owns {s}.", "The owner of {s} is {v}.",
        ),
        (
            "To whom does {s} belong?", "Who is the owner of {s}?", "Whose property is {s}?",
            "In whose hands is {s}?", "Who holds {s}?", "What is the name of the owner of {s}?", "Who owns {s}?",
        ),
        person,
        of_person=False,
    ),
    Relation(
        (
            "{s} is painted {v}.", "The colour of {s} is {v}.", "{s} is of a {v} colour.", "They painted {s} {v}.",
            "The paint of {s} is {v}.", "{s} has a {v} colour.", "{v} is the colour of {s}.",
        ),
        (
            "What is the colour of {s}?", "Which colour is {s}?", "In which colour is {s} painted?",
            "Of which colour is {s}?", "What colour has {s}?", "How is {s} painted?", "What colour is {s} painted?",
        ),
        _one_of(COLOURS),
        of_person=False,
    ),
    Relation(
        (
            "{s} costs {v}.", "The price of {s} is {v}.", "{s} is sold for {v}.", "{s} is worth {v}.",
            "You pay {v} for {s}.", "{v} is the price of {s}.", "For {v} you can buy {s}.",
        ),
        (
            "What is the price of {s}?", "How much does {s} cost?", "What does {s} cost?",
            "For how much is {s} sold?", "How much is {s} worth?", "How much do you pay for {s}?",
            "For how much can you buy {s}?",
        ),
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
