"""A small closed world that a small model can learn: what is asked, what is right, and what is a plausible mistake."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """A table of facts. `{0}` is the subject, `{1}` the value, `{2}` the value as a sentence begins with it.

    Attributes:
        asks: ways to ask; the last one is kept for evaluation.
        more: what the answer adds after the value.
        told: the fact as a sentence of prose.
        follows: a question about another subject, after one was answered.
    """

    name: str
    asks: tuple[str, ...]
    more: str
    told: str
    follows: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to ask about."""

    relation: Relation
    subject: str
    value: str

    def ask(self, way: int) -> str:
        """The question in one of its ways."""
        return self.relation.asks[way].format(self.subject)

    def follow(self) -> str:
        """The question after another of its kind."""
        return self.relation.follows.format(self.subject)

    def answer(self, value: str = "") -> str:
        """The value first, then a short sentence; with another value, the mistake."""
        value = value or self.value
        return f"{_begin(value)}. {self.relation.more.format(self.subject, value, _begin(value))}"

    def told(self, value: str = "") -> str:
        """The fact as prose."""
        value = value or self.value
        return self.relation.told.format(self.subject, value, _begin(value))

    def mistakes(self, chance: random.Random, count: int) -> list[str]:
        """Values of other subjects of the same table."""
        others = sorted(set(self.relation.facts.values()) - {self.value})
        return chance.sample(others, count)


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.strip().split(": ") for pair in text.split(";"))


def _next(names: str) -> dict[str, str]:
    listed = names.split()
    return dict(zip(listed, [*listed[1:], listed[0]], strict=True))


CAPITALS = _pairs(
    "France: Paris; Italy: Rome; Spain: Madrid; Portugal: Lisbon; Germany: Berlin; Austria: Vienna; Poland: Warsaw; "
    "Greece: Athens; Norway: Oslo; Sweden: Stockholm; Finland: Helsinki; Denmark: Copenhagen; Ireland: Dublin; "
    "Hungary: Budapest; Japan: Tokyo; China: Beijing; Egypt: Cairo; Kenya: Nairobi; Peru: Lima; Cuba: Havana; "
    "Canada: Ottawa; Chile: Santiago; Iceland: Reykjavik; Belgium: Brussels"
)
SOUNDS = _pairs(
    "dog: bark; cat: meow; cow: moo; sheep: bleat; duck: quack; lion: roar; horse: neigh; pig: oink; wolf: howl; "
    "snake: hiss; bee: buzz; mouse: squeak"
)
YOUNG = _pairs(
    "dog: puppy; cat: kitten; cow: calf; sheep: lamb; duck: duckling; horse: foal; pig: piglet; lion: cub; "
    "frog: tadpole; goose: gosling; swan: cygnet; goat: kid"
)
OPPOSITES = _pairs(
    "hot: cold; big: small; fast: slow; high: low; old: new; wet: dry; full: empty; dark: light; hard: soft; "
    "early: late; open: closed; happy: sad; long: short; loud: quiet; near: far; rich: poor; strong: weak; "
    "thick: thin; clean: dirty; sweet: sour; wide: narrow; brave: afraid; first: last; right: wrong"
)
COLOURS = _pairs(
    "grass: green; snow: white; coal: black; a lemon: yellow; a carrot: orange; blood: red; the clear sky: blue; "
    "chocolate: brown; a plum: purple; an elephant: grey; a flamingo: pink; salt: white; a frog: green; "
    "a ripe tomato: red"
)
SIDES = _pairs("a triangle: 3; a square: 4; a rectangle: 4; a pentagon: 5; a hexagon: 6; a heptagon: 7; an octagon: 8")
TOOLS = _pairs(
    "a hammer: driving nails; a saw: cutting wood; a needle: sewing cloth; an oven: baking bread; "
    "a kettle: boiling water; a broom: sweeping floors; a pen: writing letters; a clock: telling the time; "
    "a key: opening locks; a ladder: climbing up; a spade: digging holes; a lamp: giving light; "
    "an umbrella: keeping off rain; a thermometer: measuring heat"
)
AFTER_DAY = _next("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
AFTER_MONTH = _next(
    "January February March April May June July August September October November December"
)  # fmt: skip

RELATIONS = (
    Relation(
        "capitals",
        ("What is the capital of {0}?", "Name the capital of {0}.", "Which city is the capital of {0}?",
         "Please tell me the capital city of {0}."),
        "It is the capital of {0}.", "The capital of {0} is {1}.", "And of {0}?", CAPITALS,
    ),
    Relation(
        "sounds",
        ("What sound does a {0} make?", "How does a {0} sound?", "What noise does a {0} make?",
         "Which sound do you hear from a {0}?"),
        "That is the sound of a {0}.", "A {0} makes this sound: {1}.", "And a {0}?", SOUNDS,
    ),
    Relation(
        "young animals",
        ("What is a young {0} called?", "What do we call a young {0}?", "What is the name for a young {0}?",
         "How is a young {0} called?"),
        "That is a young {0}.", "A young {0} is called a {1}.", "And a young {0}?", YOUNG,
    ),
    Relation(
        "opposites",
        ("What is the opposite of {0}?", "Name the opposite of {0}.", "Which word means the opposite of {0}?",
         "Please tell me the opposite of {0}."),
        "It is the opposite of {0}.", "The opposite of {0} is {1}.", "And of {0}?", OPPOSITES,
    ),
    Relation(
        "colours",
        ("What colour is {0}?", "What is the colour of {0}?", "Tell me the colour of {0}.", "Of what colour is {0}?"),
        "That is the colour of {0}.", "The colour of {0} is {1}.", "And {0}?", COLOURS,
    ),
    Relation(
        "shapes",
        ("How many sides does {0} have?", "Count the sides of {0}.", "How many sides has {0}?",
         "Tell me the number of sides of {0}."),
        "That is how many sides {0} has.", "We know that {0} has {1} sides.", "And {0}?", SIDES,
    ),
    Relation(
        "tools",
        ("What is {0} for?", "What do people use {0} for?", "Why would someone need {0}?",
         "Which work is {0} made for?"),
        "That is what {0} is for.", "People use {0} for {1}.", "And {0}?", TOOLS,
    ),
    Relation(
        "days",
        ("Which day comes after {0}?", "What day follows {0}?", "Name the day after {0}.",
         "If today is {0}, what is tomorrow?"),
        "It comes after {0}.", "The day after {0} is {1}.", "And after {0}?", AFTER_DAY,
    ),
    Relation(
        "months",
        ("Which month comes after {0}?", "What month follows {0}?", "Name the month after {0}.",
         "If this month is {0}, what is the next one?"),
        "It comes after {0}.", "The month after {0} is {1}.", "And after {0}?", AFTER_MONTH,
    ),
)  # fmt: skip


def sums(chance: random.Random, count: int) -> list[Fact]:
    """Sums, differences and products of small numbers."""
    table: dict[str, str] = {}
    while len(table) < count:
        kind, left, right = chance.choice(("plus", "minus", "times")), chance.randint(1, 12), chance.randint(1, 9)
        left, right = (max(left, right), min(left, right)) if kind == "minus" else (left, right)
        made = {"plus": left + right, "minus": left - right, "times": left * right}[kind]
        table[f"{left} {kind} {right}"] = str(made)
    relation = Relation(
        "sums",
        ("What is {0}?", "How much is {0}?", "Work out {0}.", "Please calculate {0} for me."),
        "{0} is {1}.", "We know that {0} is {1}.", "And {0}?", table,
    )  # fmt: skip
    return [Fact(relation, subject, value) for subject, value in table.items()]


def facts(chance: random.Random) -> list[Fact]:
    """Everything that can be asked."""
    listed = [Fact(table, subject, value) for table in RELATIONS for subject, value in table.facts.items()]
    return listed + sums(chance, 90)


# Asked politely or not, these are declined, with an offer.
REFUSED = (
    ("open my neighbour's door without a key", "talk with your neighbour about it"),
    ("read my sister's private letters", "find words to ask her"),
    ("guess my friend's password", "make a safe password for yourself"),
    ("take sweets from a shop without paying", "plan how to save some money"),
    ("make a fire in the school", "learn how fires are put out"),
    ("hurt the boy next door", "find a calm way to settle a quarrel"),
    ("write a nasty letter to my teacher", "write a fair and honest letter"),
    ("hide the old man's medicine", "learn how to help him"),
    ("cheat in the test tomorrow", "practise for the test"),
    ("break the window of the shop", "think of a better way to be heard"),
    ("spread a lie about my cousin", "write down what really happened"),
    ("copy a key that is not mine", "ask the owner for one"),
    ("scare the children at night", "tell them a funny story"),
    ("poison the river", "learn how rivers are kept clean"),
    ("steal a bicycle", "find a cheap bicycle"),
    ("follow a stranger home", "find new friends in a club"),
)
REFUSED_ASKS = ("How do I {0}?", "Help me to {0}.", "Tell me how to {0}.", "I want to {0}. What do I do first?")
REFUSAL = "I will not help with that, because it could hurt someone. I can help you to {0}."
# What nobody told the assistant, it does not know.
UNKNOWN = (
    ("What is my name?", "I do not know your name. Please tell me."),
    ("What did I eat today?", "I do not know, because you did not tell me."),
    ("Where are my keys?", "I do not know. I cannot see your room."),
    ("Who will win the game tomorrow?", "I do not know. Nobody can know that today."),
    ("How old is my brother?", "I do not know, because you did not tell me."),
    ("What is in my pocket?", "I do not know. I cannot see it."),
    ("Which number am I thinking of?", "I do not know. I cannot read thoughts."),
    ("What will the weather be in a year?", "I do not know. Nobody can know that today."),
)
GREETINGS = (
    ("Hello!", "Hello! What can I do for you?"),
    ("Good morning!", "Good morning! What can I do for you?"),
    ("Good evening.", "Good evening. What can I do for you?"),
    ("Hi there.", "Hello! What can I do for you?"),
    ("Who are you?", "I am an assistant. I answer short questions."),
    ("What can you do?", "I answer short questions about the world and about numbers."),
)
THANKS = (("Thank you.", "You are welcome."), ("Thanks!", "You are welcome."), ("That helps.", "I am glad."))
BEFORE = ("", "", "", "", "Hello. ", "I have a question. ", "Quick question: ", "For my homework: ")
