"""A day of the calendar, in English words or in figures; its key is ISO 8601."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from functools import partial

from decoder.errors import UsageError
from prompts.extract_found import Found, Seek

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(r"(?<!\d)(?P<year>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<day>\d{1,2})(?!\d)"),
    re.compile(rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}\b,?\s+(?:of\s+)?(?P<year>\d{{4}})(?!\d)", re.I),
    re.compile(rf"(?<!\d){_DAY}\s+(?:day\s+)?(?:of\s+)?{_MONTH},?\s+(?P<year>\d{{4}})(?!\d)", re.I),
    re.compile(r"(?<!\d)(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4})(?!\d)"),
)


def date(option: str) -> Seek:
    """Days; `dmy` reads 03/04/2024 with the day first, `mdy` (the default) with the month first.

    Raises:
        UsageError: another option.
    """
    if option not in ("", "mdy", "dmy"):
        raise UsageError("choosing an extractor", f"{option!r} is no order of day and month", "Write date:dmy or date")
    days = partial(_days, option == "dmy")
    return Seek(partial(_nth, days, 0), partial(_nth, days, -1), partial(_nth, days, 0))


def _nth(days: Callable[[str], Iterator[tuple[int, Found]]], at: int, text: str) -> Found | None:
    found = sorted(days(text), key=lambda pair: pair[0])
    return found[at][1] if found else None


def _days(day_first: bool, text: str) -> Iterator[tuple[int, Found]]:
    """Every day that exists, with where it stands; the 30th of February is none."""
    for pattern in _DATES:
        for match in pattern.finditer(text):
            day = _day(match, day_first)
            if day is not None:
                yield match.start(), Found(day.isoformat(), match[0])


def _day(match: re.Match[str], day_first: bool) -> datetime.date | None:
    parts = match.groupdict()
    if "first" in parts:
        first, second = int(parts["first"]), int(parts["second"])
        # Points are written with the day first; and a first figure above twelve is a day.
        swap = day_first or parts["mark"] == "." or first > 12
        month, day = (second, first) if swap and second <= 12 else (first, second)
    else:
        day = int(parts["day"])
        month = int(parts["m"]) if "m" in parts else MONTHS.index(parts["month"][:3].lower()) + 1
    try:
        return datetime.date(int(parts["year"]), month, day)
    except ValueError:
        return None
