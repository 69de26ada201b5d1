"""Lines of a document with their numbers, the cited ones marked and apart from the rest. Imports no streamlit."""

from __future__ import annotations

import re
from collections.abc import Set
from itertools import groupby
from operator import itemgetter

MARK, PLAIN = ">", " "
LONGEST = 2_000
"""Characters of a line; what is longer is cut at both ends, round the quote."""
MOST_LINES = 2_000
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def window(cited: Set[int], last: int, around: int) -> tuple[int, int]:
    """The first and the last line to show: those that are cited with `around` more on either side."""
    first_cited, last_cited = (min(cited), max(cited)) if cited else (1, 1)
    first = max(1, first_cited - around)
    return first, max(first, min(last, last_cited + around, first + MOST_LINES - 1))


def numbered(text: str, cited: Set[int], first: int, last: int, near: int = 0) -> list[tuple[bool, str]]:
    """Lines `first` to `last` of the text, from 1, in runs of those that are cited (True) and those that are not.

    Args:
        near: where in the text the quote begins, so that a long line is cut round it.
    """
    lines = text.split("\n")
    width, start = len(str(last)), sum(len(line) + 1 for line in lines[: first - 1])
    shown: list[tuple[bool, str]] = []
    for number in range(first, min(last, len(lines)) + 1):
        line = lines[number - 1]
        inside = near - start if start <= near <= start + len(line) else 0
        mark = MARK if number in cited else PLAIN
        shown.append((number in cited, f"{mark} {number:>{width}} │ {_cut(line, inside)}"))
        start += len(line) + 1
    runs = groupby(shown, key=itemgetter(0))
    return [(is_cited, "\n".join(line for _, line in run)) for is_cited, run in runs]


def _cut(line: str, inside: int) -> str:
    """The line at no more than LONGEST characters, and characters that would turn or break it as �."""
    if len(line) > LONGEST:
        start = max(0, min(inside - LONGEST // 4, len(line) - LONGEST))
        end = start + LONGEST
        line = f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"
    return _CONTROL.sub("\ufffd", line)
