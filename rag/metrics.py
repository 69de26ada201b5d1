"""Figures of one question: how high what was wanted stands, and how much of the accepted answer an answer holds.

Pure functions over ranks and texts; knows no index and no decoder. A rank counts from 1; None means not found.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from prompts.extract_text import normalized

_MARKERS = re.compile(r"\s*\[\d{1,3}\]")


def recall_at_k(ranks: Sequence[int | None], k: int) -> float:
    """Share of what was wanted that stands among the first `k`. `ranks` has one entry for each thing wanted."""
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks) if ranks else 0.0


def reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """One over the rank of the first thing wanted, 0 when none was found; its mean is the MRR (Voorhees 1999)."""
    found = [rank for rank in ranks if rank is not None]
    return 1 / min(found) if found else 0.0


def ndcg_at_k(ranks: Sequence[int | None], grades: Sequence[float], k: int = 10) -> float:
    """Normalised discounted cumulative gain with linear gains (Järvelin and Kekäläinen 2002), in [0, 1].

    Args:
        ranks: of each thing wanted. Things that share a rank, as two passages that one hit covers, take the
            places after one another, as if each had a hit of its own.
        grades: how much each is wanted, above 0, in the same order.
    """
    gain, place = 0.0, 0
    found = sorted((rank, -grade) for rank, grade in zip(ranks, grades, strict=True) if rank is not None)
    for rank, negative in found:
        place = max(rank, place + 1)
        if place <= k:
            gain -= negative / math.log2(place + 1)
    best = sum(grade / math.log2(place + 1) for place, grade in enumerate(sorted(grades, reverse=True)[:k], start=1))
    return min(1.0, gain / best) if best else 0.0


def without_markers(text: str) -> str:
    """An answer without its citation markers, which are no words of it."""
    return _MARKERS.sub("", text)


def contains_answer(text: str, answers: Sequence[str]) -> bool:
    """Whether an accepted answer stands in `text` word by word, both normalized; "9" does not stand in "19"."""
    words = f" {normalized(text)} "
    return any(f" {answer} " in words for answer in map(normalized, answers) if answer)


def token_f1(text: str, answers: Sequence[str]) -> float:
    """Harmonic mean of the precision and recall of words, both normalized; of the accepted answer that fits best.

    Source: Rajpurkar et al. 2016, "SQuAD", section 6.1. An answer that has no words left is met by a text that has
    none, as in SQuAD 2.0.
    """
    return max((_f1(normalized(text).split(), normalized(answer).split()) for answer in answers), default=0.0)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted))


def precision(right: Sequence[bool]) -> float | None:
    """Share of what was given that is right; None when nothing was given, which is neither good nor bad."""
    return sum(right) / len(right) if right else None
