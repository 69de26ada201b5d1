"""Small to big: for each passage the wider stretch of its section that an answer may be read from.

The whole section where it fits; of source code the widest definition around the passage that fits; else a window of
neighbours, which those neighbours share, so that several hits of one stretch meet in it.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from rag.structure import Cut, Span

NONE: Span = (0, 0)


def parents(text: str, cuts: Sequence[Cut], most_tokens: int, count: Callable[[str], int]) -> list[Span]:
    """For each of a section's cuts, in order, the span of its parent; (0, 0) where it would be the cut itself."""
    if most_tokens < 1 or len(cuts) < 2:
        return [NONE] * len(cuts)
    sizes = [count(text[cut.start : cut.end]) for cut in cuts]
    starts, sums = [cut.start for cut in cuts], [0, *itertools.accumulate(sizes)]
    windows = [window for part in _windows(sizes, most_tokens) for window in [_span(cuts, part)] * len(part)]

    def fits(span: Span) -> bool:
        return sums[bisect_left(starts, span[1])] - sums[bisect_left(starts, span[0])] <= most_tokens

    found = []
    for cut, window in zip(cuts, windows, strict=True):
        span = next((span for span in cut.around if fits(span)), window)
        found.append(NONE if span == (cut.start, cut.end) else span)
    return found


def _span(cuts: Sequence[Cut], part: Sequence[int]) -> Span:
    return min(cuts[i].start for i in part), max(cuts[i].end for i in part)


def _windows(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Positions in runs of about equal size, each of at most `most` tokens where one position alone has not more."""
    wanted = sum(sizes) / max(1, math.ceil(sum(sizes) / most))
    ends = list(itertools.accumulate(sizes))
    run: list[int] = []
    total = closed = 0
    for position, size in enumerate(sizes):
        if run and (total + size > most or ends[position] - size / 2 > (closed + 1) * wanted):
            yield run
            run, total, closed = [], 0, closed + 1
        run.append(position)
        total += size
    if run:
        yield run
