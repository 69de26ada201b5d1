"""What a cell of XLSX says, from its saved value and its style: plain numbers, dates and times in ISO 8601."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

BUILT_IN = {
    **dict.fromkeys((9, 10), "percent"),
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 36, *range(50, 59)), "date"),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 34, 35, 45, 47), "time"),
    22: "datetime",
    46: "duration",
}
"""Number formats that files name without defining them (ECMA-376 Part 1, 18.8.30)."""
LAST_DAY = 2_958_466
"""Days from 1900 to the end of the year 9999."""
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.')
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\]]*\]")
_LONG_FRACTION = re.compile(r"-?\d+\.\d{8,}(?:[eE][-+]?\d+)?")


def style_kinds(styles: Any) -> list[str]:
    """For each cell style of `xl/styles.xml`: "date", "time", "datetime", "duration", "percent" or empty."""
    formats = {
        each.get("numFmtId"): kind_of(each.get("formatCode", "")) for each in styles.iterfind("{*}numFmts/{*}numFmt")
    }
    used = styles.find("{*}cellXfs")
    kinds = []
    for style in () if used is None else used.iterfind("{*}xf"):
        number = style.get("numFmtId", "0")
        known = BUILT_IN.get(int(number), "") if number.isdecimal() and len(number) < 9 else ""
        kinds.append(formats.get(number, known))
    return kinds


def kind_of(code: str) -> str:
    """What a number format such as "dd/mm/yyyy" or "0.0%" shows, by its first section."""
    code = _LITERAL.sub("", code)
    if _ELAPSED.search(code):
        return "duration"
    code = _BRACKETS.sub("", code).partition(";")[0].lower()
    if code in ("general", "standard"):
        return ""
    has_time = "h" in code or "s" in code
    if "y" in code or "d" in code or ("m" in code and not has_time):
        return "datetime" if has_time else "date"
    if has_time:
        return "time"
    return "percent" if "%" in code else ""


def number_text(value: str, kind: str, since_1904: bool) -> str:
    """A saved number as text; what cannot be a date or a number stays as it is saved."""
    if not kind:
        return f"{float(value):.15g}" if _LONG_FRACTION.fullmatch(value) else value
    try:
        number = float(value)
    except ValueError:
        return value
    if kind == "percent":
        return f"{round(number * 100, 10):.15g}%"
    if kind == "duration":
        return _clock(number) if abs(number) < LAST_DAY else value
    if not 0 <= number < LAST_DAY - 1462 * since_1904:
        return value
    if number < 1 and kind in ("time", "datetime") and not since_1904:
        return _clock(number)
    return _moment(number, kind, since_1904)


def _moment(days: float, kind: str, since_1904: bool) -> str:
    """Days since the epoch as a date, with the time of day where the style shows it or it is not midnight."""
    start = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30 if days >= 60 else 31)  # no 29 February 1900
    moment = start + timedelta(seconds=round(days * 86_400))
    if kind == "date" and (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return moment.date().isoformat()
    text = moment.isoformat(" ")
    return text.removesuffix(":00")


def _clock(days: float) -> str:
    """Part of a day, or more than one, as hours, minutes and seconds."""
    seconds = round(abs(days) * 86_400)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    sign = "-" if days < 0 else ""
    return f"{sign}{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")
