"""The number in an answer: which of several, whether a calculation was finished, and when two numbers are the same."""

from __future__ import annotations

import re
from fractions import Fraction

from prompts.extract_found import UNCLEAR, Found, Seek
from prompts.extract_numerals import Numeral, numerals
from prompts.extract_tidy import tidy
from prompts.extract_words import worded

SIGNIFICANT = 12
"""Digits of a number that is not whole: 0.6666666666666666 and 2/3 are one, however a program wrote it."""
_EQUALS = re.compile(r"(?<![<>!=])=(?![=>])")
_ASIDE = re.compile(r"\([^()\n]*=[^()\n]*\)")
_REASON = re.compile(r"\b(?:because|since)\b", re.I)
_CONCLUDES = re.compile(r"\b(?:so|thus|therefore|hence|leaving|leaves|gives)\b", re.I)
_OPERATOR = re.compile(
    r"\s*[)\]]*\s*(?:[-+*/×÷^x]|\*\*|plus|minus|times|(?:divided|multiplied) by)\s*[(\[$€£]*\s*", re.I
)
_BETWEEN = re.compile(r"\s*(?:-|–|to|or|and/or)\s*", re.I)
_NOT = re.compile(r"\bnot\s+(?:\w+\s+)?[^\w]*$", re.I)
_LIST_NUMBER = re.compile(r"^[\s>#-]*(?:(?:step|part|question|problem)\s*\d+\s*[.:)]?|\(?\d{1,2}[.)](?=\s+\S))", re.I)
_STRONG = re.compile(r"\*\*([^*\n]+)\*\*")
_WHOLE_WITH_SPACES = re.compile(r"[-+]?[$€£]?\s?\d{1,3}(?: \d{3})+(?!\d)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")


def announced(segment: str) -> Found | None:
    """The number that was announced: what a calculation comes to, else the first that is not denied."""
    text = _without_spaces_in_thousands(_REASON.split(_ASIDE.sub("", tidy(segment)))[0])
    after = _after_equals(text)
    if after is not None and (found := _first(after)):
        return found
    found = _first(text if after is None else text.split("=")[0])
    concluded = list(_CONCLUDES.finditer(text))
    if found and concluded and (later := _first(text[concluded[-1].end() :])):
        return later
    return found or (UNCLEAR if numerals(text) else None)


def loose(text: str) -> Found | None:
    """The last number of the last line that has one, in bold before others; None when it stands in mid-calculation."""
    for line in reversed(text.split("\n")):
        if not line.strip():
            continue
        plain = tidy(_LIST_NUMBER.sub("", line))
        found = [number for number in numerals(plain) if not number.ordinal]
        if not found:
            continue
        for strong in reversed(_STRONG.findall(line)):
            said = announced(strong)
            if said and said is not UNCLEAR:
                return said
        return _found(plain, found[-1]) if _is_finished(plain, found) else None
    return _last_in_words(text)


def alone(answer: str) -> Found | None:
    """A number and perhaps its unit; None for a longer text, and for what is no one number."""
    found = announced(answer) if "\n" not in answer.strip() and len(answer) < 80 else None
    return None if found is UNCLEAR else found


def same(said: Found, right: Found) -> bool:
    """Whether a number is the right one, or the right one rounded to the two or more decimals that it shows."""
    if said.key == right.key:
        return True
    decimals = re.search(r"\d\.(\d{2,})(?!\d)", said.text)
    if decimals is None or "/" in said.text or "e" in said.text.lower():
        return False
    step = Fraction(1, 10 ** len(decimals[1]))
    return abs(Fraction(said.key) - Fraction(right.key)) <= step / 2


SEEK = Seek(announced, loose, alone, same)


def key(value: Fraction) -> str:
    """A number's canonical form: a whole number exactly, others to twelve significant digits."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.{SIGNIFICANT}g}"


def _found(text: str, number: Numeral) -> Found:
    return Found(key(number.value), text[number.start : number.end].strip(), number.unit)


def _after_equals(text: str) -> str | None:
    """What stands after the last equals sign, if there is one."""
    signs = list(_EQUALS.finditer(text))
    return text[signs[-1].end() :] if signs else None


def _first(text: str) -> Found | None:
    """The first number that is not denied ("not 5 but 6"); none when it is part of a calculation or of a range."""
    found = numerals(text)
    for at, number in enumerate(found):
        if _NOT.search(text, max(0, number.start - 30), number.start):
            continue
        if at + 1 < len(found):
            gap = text[number.unit_end : found[at + 1].start]
            if _OPERATOR.fullmatch(gap) or _BETWEEN.fullmatch(gap):
                return None
            if gap.strip() == "and" and re.search(r"\bbetween\s*$", text[: number.start], re.I):
                return None
        return _found(text, number)
    words = worded(text)
    return Found(key(words[0].value), text[words[0].start : words[0].end]) if words and not found else None


def _is_finished(text: str, found: list[Numeral]) -> bool:
    """Whether the last number is a result: not the last term of a sum that nobody added up."""
    if len(found) < 2:
        return True
    return not _OPERATOR.fullmatch(text[found[-2].unit_end : found[-1].start])


def _last_in_words(text: str) -> Found | None:
    for sentence in reversed(_SENTENCE.split(text)):
        if words := worded(tidy(sentence)):
            return Found(key(words[-1].value), tidy(sentence)[words[-1].start : words[-1].end])
    return None


def _without_spaces_in_thousands(text: str) -> str:
    """12 345 as 12345, at the start of an answer alone: elsewhere they may be two numbers."""
    match = _WHOLE_WITH_SPACES.match(text.strip())
    return match[0].replace(" ", "") + text.strip()[match.end() :] if match else text
