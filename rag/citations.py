"""Citation markers in a generated answer: found, checked against the passages they name, located to the letter.

A sentence is supported by a passage when the passage, with its headings, holds every number and name of the
sentence and most of its content words, and when a sentence that denies something meets a denial there. That is a
test of words, not of meaning: a false sentence made of a passage's own words passes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.evidence import passage_words
from rag.sentences import quotable, split_sentences
from rag.types import Citation, Passage
from rag.words import content_words, names, numbers

ENOUGH_WORDS = 0.6
"""Share of a sentence's content words that its passage must hold."""

_MARKER = re.compile(r"\s*[\[【](\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)[\]】](?!\()")
_DENIAL = re.compile(
    r"\b(?:not?|never|none|nothing|neither|nor|cannot|without|un\w+|in\w+|im\w+|forbid\w*|except)\b|n['’]t\b", re.I
)
_DENIES = re.compile(r"\b(?:not|never|cannot)\b|n['’]t\b", re.I)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer without its markers, and the passages that it names."""

    text: str
    markers: tuple[int, ...]
    before: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of an answer: text with the markers that hold, their citations, and how well they hold.

    Attributes:
        overlap: mean share of the kept sentences' words that their passages hold, in [0, 1].
        dropped: (sentence, marker) pairs that did not hold; marker 0 is a sentence without any.
    """

    text: str
    citations: tuple[Citation, ...]
    overlap: float
    dropped: tuple[tuple[str, int], ...] = ()


def check(answer: str, passages: Sequence[Passage], question: str = "") -> Checked:
    """Keep the sentences of `answer` that a passage supports; passage n is passages[n - 1].

    A sentence that cites keeps the markers that hold, and goes when none does. One that cites nothing is given the
    first passage that supports it, or goes. The question lends its words to answers like "Yes [1]."
    """
    kept: list[str] = []
    citations: dict[tuple[int, int], Citation] = {}
    overlaps: list[float] = []
    dropped: list[tuple[str, int]] = []
    for claim in claims(answer):
        named = claim.markers or tuple(range(1, len(passages) + 1))
        good = [n for n in named if 1 <= n <= len(passages) and supports(passages[n - 1], claim.text, question)]
        dropped += [(claim.text, n) for n in claim.markers if n not in good] or ([] if good else [(claim.text, 0)])
        if not good:
            continue
        good = good if claim.markers else good[:1]
        kept.append(f"{claim.before}{claim.text} {''.join(f'[{n}]' for n in good)}")
        for number in good:
            found = locate(number, passages[number - 1], claim.text or question)
            citations.setdefault((number, found.start), found)
            overlaps.append(overlap(passages[number - 1], claim.text))
    ordered = tuple(citations[key] for key in sorted(citations))
    mean = sum(overlaps) / len(overlaps) if overlaps else 0.0
    return Checked("".join(kept).strip(), ordered, mean, tuple(dropped))


def claims(answer: str) -> list[Claim]:
    """The sentences of an answer, each with the markers inside it or right after it."""
    plain, marks, position = "", [], 0
    for match in _MARKER.finditer(answer):
        plain += answer[position : match.start()]
        marks.append((len(plain), _numbers(match.group(1))))
        position = match.end()
        if answer[position : position + 1].isalnum():
            plain += " "
    plain += answer[position:]
    found: list[Claim] = []
    end = 0
    sentences = split_sentences(plain)
    for at, sentence in enumerate(sentences):
        limit = sentences[at + 1].start if at + 1 < len(sentences) else len(plain)
        mine = [n for place, ns in marks if (place > sentence.start or at == 0) and place <= limit for n in ns]
        if at + 1 < len(sentences) and any(place == limit for place, _ in marks):
            mine = [n for place, ns in marks if place > sentence.start and place <= limit for n in ns]
        found.append(Claim(sentence.text, tuple(dict.fromkeys(mine)), plain[end : sentence.start] if found else ""))
        end = sentence.end
    return found


def _numbers(inside: str) -> tuple[int, ...]:
    """ "1", "1, 3" and "2-4" as numbers; a range is taken for its ends when it is a wide one."""
    found: list[int] = []
    for part in re.split(r"\s*[,;]\s*", inside):
        first, *rest = (int(number) for number in re.split(r"\s*[–-]\s*", part))
        found += range(first, rest[-1] + 1) if rest and 0 <= rest[-1] - first < 20 else [first, *rest]
    return tuple(found)


def supports(passage: Passage, claim: str, question: str = "") -> bool:
    """Whether the passage says enough of what the claim says."""
    said = claim if len(set(content_words(claim)) - {"documents"}) else f"{claim} {question}"
    there = passage_words(passage)
    if not content_words(said) or not (numbers(said) | names(said)) <= there:
        return False
    if _DENIES.search(claim) and not _DENIAL.search(passage.text):
        return False
    return overlap(passage, said) >= ENOUGH_WORDS


def overlap(passage: Passage, claim: str) -> float:
    """Share of the claim's distinct content words that the passage, with title and headings, holds."""
    said = set(content_words(claim))
    return len(said & passage_words(passage)) / len(said) if said else 1.0


def locate(marker: int, passage: Passage, claim: str) -> Citation:
    """The citation of the passage's sentence that has most of the claim's words; of equals, the shortest."""
    said = set(content_words(claim))

    def shared(text: str) -> tuple[int, int]:
        return len(said & set(content_words(text))), -len(text)

    best = max(quotable(passage.text), key=lambda quote: shared(quote.text))
    return citation(marker, passage, best.start, best.end)


def citation(marker: int, passage: Passage, start: int, end: int) -> Citation:
    """The citation of `passage.text[start:end]`."""
    quote, first = passage.text[start:end], passage.line_start + passage.text.count("\n", 0, start)
    return Citation(
        marker=marker,
        quote=quote,
        source=passage.source,
        title=passage.title,
        start=passage.start + start,
        end=passage.start + end,
        line_start=first,
        line_end=first + quote.count("\n"),
        page=passage.page,
        passage_id=passage.id,
    )
