"""Numbers in English words: "twenty-five", "two and a half", "three quarters", "minus one hundred and five"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

# fmt: off
_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
# fmt: on
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
UNITS = {word: value for value, word in enumerate(_SMALL)} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
PARTS |= {f"{word}s": value for word, value in PARTS.items() if word not in ("half", "halves")}
_NUMBER_WORD = "|".join([*UNITS, "hundred", "dozen", *SCALES, *PARTS])
MOST_WORDS = 30
"""No number that anybody means has more."""
_RUN = re.compile(
    rf"\b(?:(?P<minus>minus|negative)\s+)?(?P<words>(?:an?[\s-]+)?(?:{_NUMBER_WORD})"
    rf"(?:(?:[\s-]+|\s+and\s+)(?:an?\s+)?(?:{_NUMBER_WORD}))*)\b",
    re.I,
)
_PRONOUN = re.compile(r"\b(?:no|any|every|each|this|that|which|the|some|another|last|next)\s+$", re.I)


@dataclass(frozen=True, slots=True)
class Worded:
    """A number in words and where it stands."""

    value: Fraction
    start: int
    end: int


def worded(text: str) -> list[Worded]:
    """The numbers in words, in order. "No one" is none, and an ordinal is none."""
    found = []
    for match in _RUN.finditer(text):
        words = match["words"].lower().replace("-", " ").split()
        if words == ["one"] and _PRONOUN.search(text, 0, match.start()):
            continue
        value = _value(words) if len(words) <= MOST_WORDS else None
        if value is not None:
            found.append(Worded(-value if match["minus"] else value, match.start(), match.end()))
    return found


def _value(words: list[str]) -> Fraction | None:
    """The number that these words are; None for "third" alone and other words that are no amount."""
    if words[-1] in PARTS:
        return _with_part(words[:-1], PARTS[words[-1]], alone=words[-1] in ("half", "quarter"))
    return _whole([word for word in words if word not in ("and", "a", "an")])


def _with_part(words: list[str], below: int, alone: bool) -> Fraction | None:
    """`words` counted in parts: two thirds, two and a half, a quarter."""
    if words[-2:-1] == ["and"] and words[-1] in ("a", "an", "one"):
        whole = _whole([word for word in words[:-2] if word != "and"])
        return None if whole is None else whole + Fraction(1, below)
    if "and" in words:
        at = len(words) - 1 - words[::-1].index("and")
        whole, above = _whole(words[:at]), _whole(words[at + 1 :])
        return None if whole is None or above is None else whole + Fraction(above, below)
    if not words or words in (["a"], ["an"]):
        return Fraction(1, below) if words or alone else None
    above = _whole(words)
    return None if above is None else Fraction(above, below)


def _whole(words: list[str]) -> Fraction | None:
    """Sums below a thousand, scaled and added up; None for words that count ("one two three") and are no number.

    `["dozen"]` is twelve, `["two", "dozen"]` is two of them.
    """
    total, group, scale = 0, 0, max(SCALES.values()) * 10
    for at, word in enumerate(words):
        if word in UNITS and _fits(UNITS[word], group):
            group += UNITS[word]
        elif word == "hundred" and group < 10:
            group = max(1, group) * 100
        elif word == "dozen" and at == len(words) - 1:
            group = group or 12
        elif word in SCALES and SCALES[word] < scale:
            scale = SCALES[word]
            total, group = total + max(1, group) * scale, 0
        elif word not in ("a", "an"):
            return None
    return Fraction(total + group) if words else None


def _fits(unit: int, group: int) -> bool:
    """Whether a unit goes on with what was said of this group: five after twenty or a hundred, not after five."""
    return group % 100 == 0 or (group % 10 == 0 and group % 100 >= 20 and 0 < unit < 10)
