"""Sentences with exact offsets: what is quoted, and what a citation is checked against.

A sentence never crosses a blank line, a heading, a list item, a table row or a fenced block; inside a paragraph
it ends at . ! ? … (or their East Asian forms) unless the stop belongs to an abbreviation, an initial or a number.
Knows nothing of questions or passages.
"""

# ruff: noqa: SIM905  # word lists read better as running text
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof rev hon st sr jr gen col capt lt sgt sen rep gov pres supt "
    "vs etc al cf e.g i.e viz ca approx est resp incl excl "
    "vol vols ch chap sec fig figs eq eqs ref refs p pp art para ed eds trans "
    "inc ltd co corp bros dept univ assn ave blvd rd mt ft "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun".split()
)
"""Words that a full stop follows without ending the sentence, lower case, without their last stop."""

NEVER_END = frozenset("mr mrs ms dr prof rev hon gen col capt lt sgt sen rep gov vs cf e.g i.e viz".split())
"""Of those, the ones that are followed by a capital or a number as a rule: they never end a sentence."""

BEFORE_NUMBERS = frozenset({"no", "nos", "fig", "figs"})

_LINE_START = re.compile(r"[ \t]*(?:#{1,6}[ \t]|[-*+•‣▪–][ \t]|\(?\d{1,3}[.)][ \t]|\(?[a-zA-Z][)][ \t]|\||>[ \t]?)")
_ALONE = re.compile(r"[ \t]*(?:#{1,6}[ \t].*|\|.*|[-=*_]{3,}[ \t]*)$")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_STOP = re.compile(r"[.!?…]+[\"'”’»)\]*_]*(?=\s)|[。！？]+[」』”’）]*")
_WORD_BEFORE = re.compile(r"[\w.]+$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: `text` is exactly `whole[start:end]`, without white space around it."""

    start: int
    end: int
    text: str


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of `text` in order; together they hold every character that is not white space."""
    found: list[Sentence] = []
    for start, end in _blocks(text):
        found += (_sentence(text, a, b) for a, b in _within(text, start, end))
    return found


def _sentence(text: str, start: int, end: int) -> Sentence:
    return Sentence(start, end, text[start:end])


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans that no sentence crosses: paragraphs, headings, list items, table rows, fenced blocks."""
    start = position = 0
    fenced = alone = False
    lines = text.splitlines(keepends=True)
    ended = True
    for line, following in pairwise([*lines, ""]):
        end = position + len(line)
        if _FENCE.match(line):
            if not fenced:
                yield from _trimmed(text, start, position)
                start = position
            else:
                yield from _trimmed(text, start, end)
                start = end
            fenced = not fenced
        elif not fenced and (alone or not line.strip() or _LINE_START.match(line) or _ALONE.match(line)):
            yield from _trimmed(text, start, position)
            start = position
        alone = not fenced and bool(_ALONE.match(line.rstrip("\r\n")) or (ended and _titles(line, following)))
        ended = not line.strip() or alone or line.rstrip().endswith((".", "!", "?", "…", ":"))
        position = end
    yield from _trimmed(text, start, len(text))


def _titles(line: str, following: str) -> bool:
    """Whether a line reads as the heading of the next one, in text without marks for headings, such as a PDF's."""
    here, below = line.strip(), following.strip()
    is_label = here[:1].isupper() and here[-1].isalnum() and len(here.split()) <= 6
    return is_label and below[:1].isupper() and len(here) < len(below) / 2


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The span without white space around it, unless nothing is left."""
    piece = text[start:end]
    if stripped := piece.strip():
        first = start + len(piece) - len(piece.lstrip())
        yield first, first + len(stripped)


def _within(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentence spans of one block; a fenced block is one."""
    if _FENCE.match(text, start):
        yield start, end
        return
    begin = start
    for stop in _STOP.finditer(text, start, end):
        if stop.end() < end and _ends(text, begin, stop):
            yield from _trimmed(text, begin, stop.end())
            begin = stop.end()
    yield from _trimmed(text, begin, end)


def _ends(text: str, begin: int, stop: re.Match[str]) -> bool:
    """Whether the mark at `stop` ends a sentence that began at `begin`."""
    if stop.group()[0] in "。！？":
        return True
    rest = text[stop.end() : stop.end() + 8].lstrip()
    opens = rest.lstrip("\"'“‘«([*_")[:1]
    if opens.islower():
        return False
    if stop.group()[0] != ".":
        return True
    before = _WORD_BEFORE.search(text, max(begin, stop.start() - 24), stop.start())
    word = before.group().lower() if before else ""
    if not text[begin : stop.start()].strip().lstrip("(#-*+•> ") or text[begin : stop.start()].strip().isdigit():
        return False  # the number or letter of a list item
    if word in BEFORE_NUMBERS and rest[:1].isdigit():
        return False
    if word in ABBREVIATIONS and not stop.group()[1:]:
        return word not in NEVER_END and _starts_afresh(rest)
    is_initial = len(word) == 1 and word.isalpha() and word != "i"
    return not (is_initial or re.fullmatch(r"(?:[a-z]\.)+[a-z]", word)) or _starts_afresh(rest)


def _starts_afresh(rest: str) -> bool:
    """After an abbreviation: the next word is one that a sentence begins with rather than a name goes on with."""
    word = re.match(r"[\"'“‘(]*(\w+)", rest)
    return word is not None and word.group(1) in _OPENERS


_OPENERS = frozenset(
    "The This That These Those It He She They We You I In On At By For From After Before When While If But And "
    "Its His Her Their Our As An To There However Although Since During".split()
)


MOST_WORDS = 60
_HEADING = re.compile(r"#{1,6}\s|[-=*_|:\s]+$")


@dataclass(frozen=True, slots=True)
class Quotable:
    """A stretch of text that can be quoted as an answer.

    Attributes:
        start, end: offsets into the text; `text` is exactly what stands there.
        lead: the heading or question right above it, which says what it is about; often empty.
    """

    start: int
    end: int
    text: str
    lead: str = ""


def quotable(text: str) -> list[Quotable]:
    """What of `text` can be quoted: its sentences, but no headings and questions.

    A sentence that ends in a colon is joined with the list or the block that it announces, up to MOST_WORDS; what
    is longer than that is cut after a word. A text of headings only is quoted as it is.
    """
    sentences = split_sentences(text)
    found, lead, index = [], "", 0
    while index < len(sentences):
        sentence = sentences[index]
        index += 1
        if _HEADING.match(sentence.text) or sentence.text.endswith("?"):
            lead = sentence.text.lstrip("# ") if sentence.text.strip("-=*_|: \t\n") else lead
            continue
        last = index + _announced(sentences[index - 1 :])
        found.append(_cut(text, sentence.start, sentences[last - 1].end, lead))
        index, lead = last, ""
    return found or [_cut(text, s.start, s.end, "") for s in sentences]


def _announced(sentences: Sequence[Sentence]) -> int:
    """How many sentences after the first belong to it because it ends in a colon."""
    if not sentences[0].text.rstrip("*_").endswith(":"):
        return 0
    words, count = len(sentences[0].text.split()), 0
    for following in sentences[1:]:
        words += len(following.text.split())
        is_item = _LINE_START.match(following.text) or _FENCE.match(following.text)
        if words > MOST_WORDS or _HEADING.match(following.text) or (count and not is_item):
            break
        count += 1
    return count


def _cut(text: str, start: int, end: int, lead: str) -> Quotable:
    """The span, at most MOST_WORDS words of it."""
    words = list(re.finditer(r"\S+", text[start:end]))
    if len(words) > MOST_WORDS:
        end = start + words[MOST_WORDS - 1].end()
    return Quotable(start, end, text[start:end], lead)
