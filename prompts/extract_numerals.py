"""Numbers in digits, read off a tidied text: signs, currencies, separators, fractions, powers of ten, scales, units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from prompts.extract_words import SCALES

MOST_DIGITS = 100
"""A longer run of digits is no answer, and an exponent above it no number that anybody wants to hold."""
_DECIMAL = (
    r"(?:\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}(?!\.?\d)"  # 1.234,56 and 1.234.567
    r"|(?:\d{1,2}(?:,\d{2})+,\d{3}|\d{1,3}(?:,\d{3})+|\d{1,3}(?:['’_\u202f]\d{3})+)(?!\d)(?:\.\d+)?"
    r"|\d+,\d{1,2}(?![\d,])|\d+(?:\.\d+)?|\.\d+)"
)
_NUMERAL = re.compile(
    r"(?<!\w)(?<!\d[:.,/])(?P<minus>(?:minus|negative)\s+)?(?P<sign>[-+]\s?)?"
    r"(?P<currency>(?:(?:US|CA|AU|NZ|HK|A|C|S)?\$|[€£¥₹]|\bRs\.?|\b(?:USD|EUR|GBP|JPY|INR|CHF))\s?)?(?P<inner>-)?"
    rf"(?:(?P<whole>\d{{1,9}})(?:\s{{1,2}}|\s?-\s?|\s+and\s+)(?P<part>\d{{1,9}})\s?/\s?(?P<parts>\d{{1,9}})"
    r"|10\s?\^\s?(?P<ten>[-+]?\d{1,9})"
    rf"|(?P<above>{_DECIMAL})\s?/\s?(?P<below>\d{{1,30}}(?:\.\d+)?)"
    rf"|(?P<decimal>{_DECIMAL}))(?![\d]|[:/]\d|\.\d)"
    r"(?:[eE](?P<exponent>[-+]?\d{1,9})\b|\s?[×x*]\s?10\s?\^\s?(?P<power>[-+]?\d{1,9}))?"
)
_AFTER = re.compile(
    r"(?P<half>\s+and\s+(?:a|one)\s+half\b)|\s?(?P<scale>hundred|thousand|million|billion|trillion)s?\b"
    r"|(?P<letter>k|K|M|B|bn)\b|(?P<ordinal>st|nd|rd|th)\b"
)
_LETTERS = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "bn": 10**9}
_UNIT = re.compile(
    r"\s?(%|percent\b|per cent\b|[$€£¥]|"
    r"(?!(?:and|or|to|x|plus|minus|times|divided|multiplied|by|is|of|so|for|in|on)\b)[A-Za-z][A-Za-z/]{0,30})",
    re.I,
)
_SIGN_BEFORE = re.compile(r"(?:[=(\[{,:$€£]|\bis|\bequals)\s*$")


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number, where it stands, and where its unit ends."""

    value: Fraction
    start: int
    end: int
    unit_end: int
    unit: str = ""
    ordinal: bool = False


def numerals(text: str) -> list[Numeral]:
    """The numbers of a tidied text in order; times, ratios, dates and numbers inside names are none."""
    return [numeral for match in _NUMERAL.finditer(text) if (numeral := _numeral(match)) is not None]


def _numeral(match: re.Match[str]) -> Numeral | None:
    value = _value(match)
    if value is None:
        return None
    text, end = match.string, match.end()
    after = _AFTER.match(text, end)
    if after:
        value, end = _scaled(value, after), after.end()
    negative, start = _sign(match)
    unit = _UNIT.match(text, end)
    currency = (match["currency"] or "").strip()
    ordinal = after is not None and after["ordinal"] is not None
    named = currency or (unit[1].lower() if unit else "")
    return Numeral(-value if negative else value, start, end, unit.end() if unit else end, named, ordinal)


def _value(match: re.Match[str]) -> Fraction | None:
    if len(match[0]) > MOST_DIGITS:
        return None
    if match["whole"] is not None:
        parts = int(match["parts"])
        return Fraction(int(match["whole"])) + Fraction(int(match["part"]), parts) if parts else None
    if match["above"] is not None:
        below = Fraction(match["below"])
        return _decimal(match["above"]) / below if below else None
    exponent = int(match["exponent"] or match["power"] or match["ten"] or 0)
    return _decimal(match["decimal"] or "1") * Fraction(10) ** exponent if abs(exponent) <= MOST_DIGITS else None


def _decimal(text: str) -> Fraction:
    """Digits with separators of thousands and a decimal point or comma, told apart by the groups they make."""
    text = re.sub(r"['’_\u202f]", "", text)
    if re.fullmatch(r"\d+,\d{1,2}", text) or ("." in text and "," in text and text.rindex(",") > text.rindex(".")):
        return Fraction(text.replace(".", "").replace(",", "."))
    if text.count(".") > 1:
        return Fraction(text.replace(".", ""))
    return Fraction(text.replace(",", ""))


def _scaled(value: Fraction, after: re.Match[str]) -> Fraction:
    if after["half"]:
        return value + Fraction(1, 2)
    if after["scale"]:
        return value * (SCALES | {"hundred": 100})[after["scale"].lower()]
    return value * _LETTERS[after["letter"]] if after["letter"] else value


def _sign(match: re.Match[str]) -> tuple[bool, int]:
    """Whether the number is negative, and where it starts. A minus between two numbers or words is none of its own."""
    text, sign = match.string, match["sign"] or ""
    after_number = bool(re.search(r"[\d)%]\s*$", text[max(0, match.start() - 8) : match.start()]))
    if match["minus"]:
        return (not after_number), match.start("minus")
    start = match.start() + len(sign)
    if sign:
        adjacent = match.start() > 0 and (text[match.start() - 1].isalnum() or text[match.start() - 1] in ")]%")
        apart = sign.endswith(" ") and not _SIGN_BEFORE.search(text[: match.start()])
        if adjacent or apart or after_number:
            return match["inner"] is not None, start
        return sign.startswith("-"), match.start()
    return match["inner"] is not None, start
