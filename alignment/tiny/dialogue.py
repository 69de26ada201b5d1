"""Conversations in which a later turn needs what was said in an earlier one, and a few words of small talk."""

from __future__ import annotations

from random import Random

from alignment.tiny.facts import fact
from alignment.tiny.words import Split, capitalised, person, wording

Turns = list[tuple[str, str]]
"""What the user says and what the assistant answers, in order."""

NAMED = (
    "My name is {n}.",
    "I am {n}.",
    "Hello, my name is {n}.",
    "Call me {n}.",
    "People call me {n}.",
    "This is {n}.",
    "Hello, I am {n}.",
)
GREETED = "Hello {n}."
WHO_AM_I = (
    "What is my name?",
    "Do you know my name?",
    "Who am I?",
    "Tell me my name.",
    "What am I called?",
    "Can you tell me my name?",
    "Do you know who I am?",
)
KNOWN = "You are {n}."
NOTED = "I will remember it."
TELL = ("Remember this: {f}", "{f}", "Please note: {f}", "Keep in mind: {f}", "{f} Remember it.")
SMALL_TALK = (
    ("Hello", "Hello. What can I do for you?"),
    ("Hi", "Hello. What can I do for you?"),
    ("Good morning", "Good morning. What can I do for you?"),
    ("Who are you?", "I am hearth-tiny, a small decoder that Hearth has trained from nothing."),
    ("What are you?", "I am hearth-tiny, a small decoder that Hearth has trained from nothing."),
    ("What can you do?", "I can work out small sums, answer from passages and use a few tools."),
    ("Thank you", "You are welcome."),
    ("Thanks", "You are welcome."),
    ("Goodbye", "Goodbye."),
)


def dialogue(random: Random, split: Split) -> Turns:
    """Two or three things are said; the last turn asks for one of them. The answer to it is the last of all."""
    turns: Turns = []
    asked: Turns = []
    if random.random() < 0.6:
        name = person(random, split)
        turns.append((wording(random, split, NAMED).format(n=name), GREETED.format(n=name)))
        asked.append((wording(random, split, WHO_AM_I), KNOWN.format(n=name)))
    for _ in range(random.randint(1, 2)):
        known = fact(random, split)
        turns.append((wording(random, split, TELL).format(f=known.told(random, split)), NOTED))
        asked.append((known.asked(random, split), f"{capitalised(known.value)}."))
    random.shuffle(turns)
    return [*turns, random.choice(asked)]
