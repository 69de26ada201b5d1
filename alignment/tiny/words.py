"""The words that tasks are made of: invented names, things, places and days, apart for training and for testing.

Names are made of syllables, so that no model can know them and each must be copied; a name belongs to one split by its
checksum, whatever the order in which it is drawn.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "test"]

STARTS = (
    "Ba", "Be", "Bri", "Ca", "Co", "Da", "De", "Do", "Fa", "Fe", "Ga", "Gre", "Ha", "He", "I", "Ja", "Jo", "Ka", "Ki",
    "La", "Le", "Lo", "Ma", "Me", "Mi", "Na", "Ne", "No", "O", "Pa", "Pe", "Ra", "Ri", "Ro", "Sa", "Se", "So", "Ta",
    "Te", "To", "U", "Va", "Ve", "Wa", "Wi", "Ya", "Ze",
)  # fmt: skip
MIDDLES = ("", "", "la", "ri", "mo", "ne", "ru", "ti", "va", "si", "do", "ke", "bu", "fe")
PERSON_ENDS = ("ra", "na", "lin", "ro", "mas", "nia", "ris", "dan", "la", "ven", "tha", "ko", "bel", "gor", "mi", "sk")
PLACE_ENDS = ("ford", "ham", "mora", "stad", "ville", "burg", "wick", "dorf", "port", "mouth", "field", "berg")
_NAME = re.compile(rf"\b(?:{'|'.join(STARTS)})(?:{'|'.join(MIDDLES)})(?:{'|'.join(PERSON_ENDS + PLACE_ENDS)})\b")

THINGS = (
    "apples", "pears", "coins", "books", "stamps", "shells", "buttons", "cups", "eggs", "nails", "cards", "seeds",
    "stones", "candles", "pencils", "marbles", "ribbons", "plates",
)  # fmt: skip
BOXES = ("tin", "bag", "basket", "drawer", "jar", "chest")
OBJECTS = (
    "clock", "boat", "lamp", "bridge", "violin", "map", "mill", "crown", "bell", "ladder", "statue", "tower", "cart",
    "mirror",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "purple")
TRADES = ("baker", "smith", "sailor", "teacher", "painter", "farmer", "doctor", "weaver", "tailor", "miller")


def person(random: Random, split: Split) -> str:
    """A person's first name of this split."""
    return _name(random, split, PERSON_ENDS)


def place(random: Random, split: Split) -> str:
    """A town's name of this split."""
    return _name(random, split, PLACE_ENDS)


def persons(random: Random, split: Split, count: int) -> list[str]:
    """Different people."""
    return distinct(lambda: person(random, split), count)


def wording(random: Random, split: Split, forms: Sequence[str], held_out: int = 1) -> str:
    """One of the wordings; the last `held_out` of them are kept for testing, which uses no others."""
    return random.choice(forms[-held_out:] if split == "test" else forms[:-held_out])


def distinct(draw: Callable[[], str], count: int) -> list[str]:
    """So many different words."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw()] = None
    return list(found)


def capitalised(text: str) -> str:
    """With a capital at the beginning, and no other letter changed, which `str.capitalize` would."""
    return text[0].upper() + text[1:]


def split_of(name: str) -> Split:
    """Which split a name belongs to: one in five is kept for testing."""
    return "test" if zlib.crc32(name.encode()) % 5 == 0 else "train"


def names_in(text: str) -> set[str]:
    """The invented names in a text, of people and towns of either split."""
    return set(_NAME.findall(text))


def _name(random: Random, split: Split, ends: Sequence[str]) -> str:
    while True:
        name = random.choice(STARTS) + random.choice(MIDDLES) + random.choice(ends)
        if split_of(name) == split:
            return name
