"""Stories and plain prose in simple English, put together by chance: what a very small model learns to write from."""

from __future__ import annotations

import random

from alignment_facts import Fact

PEOPLE = (
    ("Anna", "she", "her"), ("Ben", "he", "his"), ("Clara", "she", "her"), ("David", "he", "his"),
    ("Ella", "she", "her"), ("Felix", "he", "his"), ("Grace", "she", "her"), ("Hugo", "he", "his"),
    ("Ida", "she", "her"), ("Jonas", "he", "his"), ("Lucy", "she", "her"), ("Max", "he", "his"),
    ("Nora", "she", "her"), ("Oscar", "he", "his"), ("Rosa", "she", "her"), ("Tom", "he", "his"),
)  # fmt: skip
ANIMALS = ("dog", "cat", "horse", "goat", "duck", "goose", "rabbit", "donkey", "hen", "fox", "owl", "mouse")
PLACES = (
    "the garden", "the forest", "the market", "the harbour", "the school", "the old mill", "the kitchen", "the river",
    "the village", "the library", "the hill", "the farm", "the bridge", "the workshop", "the station", "the beach",
)  # fmt: skip
THINGS = (
    "a red ball", "a small key", "an old map", "a wooden box", "a warm coat", "a loaf of bread", "a blue kite",
    "a broken clock", "a basket of apples", "a silver coin", "a long rope", "a paper boat", "a green bottle",
    "a bag of seeds", "a brass lamp", "a little drum",
)  # fmt: skip
TIMES = (
    "One morning", "One evening", "On Monday", "On a cold day", "On a warm day", "After the rain", "Before supper",
    "In the spring", "In the autumn", "On the first day of winter", "Late at night", "At noon",
)  # fmt: skip
WEATHER = (
    "The sun was shining.", "It was raining a little.", "The wind was strong.", "Snow lay on the roofs.",
    "The sky was clear and blue.", "A thick fog hid the road.", "It was hot, and nobody was in a hurry.",
    "The leaves were yellow and red.", "The stars were bright.", "There was not a cloud to be seen.",
)  # fmt: skip
FINDS = (
    "{time} {name} went to {place} and found {thing}.", "{time} {name} was walking to {place} when {she} saw {thing}.",
    "{time} {name} carried {thing} to {place}.", "{time} {name} looked for {thing} near {place}.",
    "{time} {name} and {other} met at {place}, and {name} had {thing}.", "{time} {other} gave {name} {thing}.",
    "There was {thing} at {place}, and {name} wanted to know whose it was.",
)  # fmt: skip
TROUBLES = (
    "But it was too heavy to carry alone.", "But nobody knew where it came from.", "Then a {animal} ran off with it.",
    "Then it fell into the water.", "But {other} had lost the very same thing.", "A {animal} was sitting on it.",
    "But the way home was long and dark.", "Then they heard a strange noise behind the wall.",
    "{name} was afraid at first, and stood still.", "But there was a hole in it.",
)  # fmt: skip
DEEDS = (
    "{name} asked {other} for help.", "{name} thought about it for a while.", "{name} ran as fast as {she} could.",
    "{name} called {her} grandmother.", "{other} had a good idea.", "{name} sat down on a stone and waited.",
    "{name} and {other} worked until it was dark.", "The {animal} came closer and looked at {name}.",
    "{name} told the {animal} not to be afraid.", "{other} laughed and held out a hand.",
    "{name} tied it up with a piece of string.", "{name} wrote down what had happened.",
)  # fmt: skip
ENDS = (
    "In the end everything was well.", "{name} was tired, but {she} was happy.", "That night {name} slept well.",
    "From that day {name} and {other} were friends.", "They went home together and had soup.",
    "{name} never forgot that day.", "And the {animal} stayed with them.", "{name} gave it back, and was thanked.",
    "The next day they did it all over again.", "{name} put it on the shelf, and there it is still.",
)  # fmt: skip
HABITS = (
    "Every day {name} goes to {place} with {her} {animal}.", "{name} likes {place} more than any other place.",
    "{name} has {thing}, and {she} takes good care of it.", "In the morning {name} feeds the {animal}.",
    "On Sunday {name} and {other} walk to {place}.", "When it rains, {name} stays at home and reads.",
    "{name} is learning how to mend {thing}.", "{other} lives near {place} and knows everybody there.",
    "The {animal} sleeps beside the stove in winter.", "{name} saves a little money every week.",
    "{name} writes a letter to {other} once a month.", "If {name} is late, {other} waits at {place}.",
)  # fmt: skip
HOW_TO = (
    ("make tea", "boil some water", "put the tea into a pot", "pour the water over it", "wait for three minutes"),
    ("plant a tree", "dig a deep hole", "set the young tree into it", "fill the hole with earth", "give it water"),
    ("bake bread", "mix flour, water and salt", "add some yeast", "let the dough rise", "bake it for an hour"),
    ("write a letter", "take a sheet of paper", "write the name of your friend", "say what you want to say",
     "put it into an envelope"),
    ("fly a kite", "wait for a windy day", "go up the hill", "hold the kite against the wind", "let the string run"),
    ("clean a room", "open the window", "put the things in their places", "sweep the floor", "wipe the table"),
    ("cook soup", "cut the vegetables", "put them into a pot of water", "add some salt", "cook it until it is soft"),
    ("mend a coat", "find a needle", "choose a thread of the same colour", "sew up the hole", "cut the thread"),
    ("cross a street", "stand still", "look to the left and to the right", "wait until it is free", "walk over"),
    ("wash a dog", "fill a tub with warm water", "put the dog into it", "use a little soap", "dry the dog well"),
)  # fmt: skip
STEPS = ("First {0}.", "Then {0}.", "After that {0}.", "At last {0}.")


def story(chance: random.Random) -> str:
    """A thing, a trouble, what was done, and an end."""
    words = _words(chance)
    middle = chance.sample(DEEDS, chance.randint(1, 3))
    parts = [chance.choice(FINDS), chance.choice(TROUBLES), *middle, chance.choice(ENDS)]
    if chance.random() < 0.5:
        parts.insert(1, chance.choice(WEATHER))
    return " ".join(part.format(**words) for part in parts)


def habits(chance: random.Random) -> str:
    """What somebody does every day."""
    words = _words(chance)
    return " ".join(part.format(**words) for part in chance.sample(HABITS, chance.randint(3, 5)))


def talk(chance: random.Random, facts: list[Fact]) -> str:
    """Two people, one of whom knows the answer."""
    words = _words(chance)
    fact = chance.choice(facts)
    question, answer = fact.ask(chance.randrange(3)), fact.answer()
    asks = chance.choice(('{name} asked {other}: "{question}"', '"{question}" asked {name}.',
                          '{time} {name} wanted to know: "{question}"'))  # fmt: skip
    says = chance.choice(('"{answer}" said {other}.', '{other} knew it at once: "{answer}"',
                          '{other} thought about it and said: "{answer}"'))  # fmt: skip
    thanks = chance.choice(
        ('"Thank you," said {name}.', "{name} wrote it down.", "So {name} had learnt something.", "")
    )
    return " ".join((asks, says, thanks)).format(**words, question=question, answer=answer).strip()


def lesson(chance: random.Random, facts: list[Fact]) -> str:
    """A few facts of one kind, as prose."""
    kind = chance.choice(facts).relation.name
    listed = [fact.told() for fact in facts if fact.relation.name == kind]
    return " ".join(chance.sample(listed, chance.randint(3, 5)))


def how_to(chance: random.Random) -> str:
    """How something is done, in four steps, by somebody."""
    what, *steps = chance.choice(HOW_TO)
    words = _words(chance)
    told = " ".join(form.format(step) for form, step in zip(STEPS, steps, strict=True))
    opens = chance.choice(("{name} wants to {what}.", "This is how to {what}.", "{other} showed {name} how to {what}.",
                           "Do you want to {what}? It is not hard.", "{time} {name} learnt to {what}."))  # fmt: skip
    closes = chance.choice(("That is all.", "{name} does it every week.", "It takes some time.", "{other} helps."))
    return f"{opens} {told} {closes}".format(what=what, **words)


def _words(chance: random.Random) -> dict[str, str]:
    (name, she, her), (other, _, _) = chance.sample(PEOPLE, 2)
    return {
        "name": name, "she": she, "her": her, "other": other, "animal": chance.choice(ANIMALS),
        "place": chance.choice(PLACES), "thing": chance.choice(THINGS), "time": chance.choice(TIMES),
    }  # fmt: skip
