"""What kind of thing a question asks for, and whether a sentence has one that the question did not name itself."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from rag.words import STOP_WORDS, names, stem, tokens

Kind: TypeAlias = Literal["time", "number", "name", "place", "reason", "other"]

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("time", re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|decade|century)\b", re.I)),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|large|big|high|deep|fast|often|heavy|wide)\b"
            r"|\bwhat (?:percent|percentage|number|amount|age|population|size)\b",
            re.I,
        ),
    ),
    ("name", re.compile(r"\b(?:who|whom|whose)\b|\bwhat (?:person|man|woman|actor|author)\b", re.I)),
    (
        "place",
        re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|state|town|place|location|street|river)\b", re.I),
    ),
    ("reason", re.compile(r"\bwhy\b", re.I)),
)
_TIME = re.compile(
    r"\b\d{4}s?\b|\bcentury\b|\b\d{1,2}:\d\d\b"
    r"|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
    re.I,
)
_QUANTITY = re.compile(
    r"\b(?:hundred|thousand|million|billion|half|third|quarter|percent|dozen|several|once|twice)", re.I
)
_REASON = re.compile(
    r"\b(?:because|due to|since|so that|in order|as a result|therefore|cause[sd]?|reason|led to)\b", re.I
)


def wanted(question: str) -> Kind:
    """What the question asks for; "other" when its words do not tell."""
    return next((kind for kind, pattern in _KINDS if pattern.search(question)), "other")


def has_wanted(kind: Kind, sentence: str, asked: set[str]) -> bool:
    """Whether the sentence holds something of that kind whose stem is not in `asked`; always for "other"."""
    if kind == "other":
        return True
    if kind == "reason":
        return bool(_REASON.search(sentence))
    if kind == "time":
        return any(not set(map(stem, tokens(match.group()))) <= asked for match in _TIME.finditer(sentence))
    if kind == "number":
        return bool(_QUANTITY.search(sentence)) or any(
            stem(t)[0].isdigit() and stem(t) not in asked for t in tokens(sentence)
        )
    opening = next(iter(tokens(sentence)), "a")
    opens = opening[0].isupper() and opening.lower() not in STOP_WORDS and stem(opening) not in asked
    return opens or bool(names(sentence) - asked)
