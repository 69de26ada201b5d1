"""Source code into passages: whole functions and classes where they fit, cut between their parts where they do not.

Comments, decorators and attributes stay with what they describe, a docstring with its definition's first line, a
closing bracket with what it closes. Small neighbours share a passage. The path of a passage is the names of the
definitions around it, its own last when it is exactly one. In the spirit of the splitter of cAST (Zhang et al. 2025).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.chunk_blocks import blocks
from rag.chunk_bounds import Cutter
from rag.chunk_syntax import Unit, syntax
from rag.structure import Cut, Span
from rag.types import Document

DEEPEST = 60
"""Levels of syntax that are opened; what is nested deeper is cut by lines."""
SMALL = 3
"""A definition of less than one part in three of a passage may share one with its neighbours."""
_BRACKET = re.compile(r"[)\]};,]+|[({\[]")
PROSE = frozenset({"latex", "tex", "markdown", "rst", "log"})
"""Kinds of text/x-… that are no program."""
RECORDS = frozenset({"application/json", "application/jsonl", "application/xml"})
"""As they are loaded: records with blank lines between them, or elements indented below each other."""


def language_of(document: Document) -> str | None:
    """The programming language that the document is written in, or None when it is none."""
    prefix, _, language = document.media_type.partition("/x-")
    return language if prefix == "text" and language and language not in PROSE else None


@dataclass(frozen=True, slots=True)
class CodeCutter:
    """Cuts one text with the bounds of `cutter`.

    Attributes:
        records: what blank lines part shares a passage only where it is small, as definitions do.
    """

    cutter: Cutter
    records: bool = False

    def cut(self, language: str, begin: int = 0, end: int | None = None) -> Iterator[Cut]:
        """The passages of the text between `begin` and `end`, in order."""
        text = self.cutter.text
        begin, end = self.cutter.trim(begin, len(text) if end is None else end)
        if begin < end:
            root = syntax(text[begin:end], language, begin) or blocks(text, begin, end)
            yield from self._span([root], begin, end, (), (), 0)

    def _span(
        self, units: Sequence[Unit], start: int, end: int, path: tuple[str, ...], around: tuple[Span, ...], depth: int
    ) -> Iterator[Cut]:
        """One group of units: whole when it fits, else its parts, else its lines."""
        start, end = self.cutter.trim(start, end)
        if start == end:  # a grammar may take for something what is white space to us, such as a next-line character
            return
        if self.cutter.fits(start, end):
            yield Cut(start, end, path, around=around)
            return
        around = (*around, (start, end))
        described = next((unit.start for unit in units if not unit.leads), start)
        rest = self.cutter.trim(described, end)
        if start < described and rest[0] < rest[1] and self.cutter.fits(*rest):
            leads = [unit for unit in units if unit.start < described]
            yield from self._span(leads, start, described, path, around, depth + 1)
            yield Cut(*rest, path, around=around)
            return
        if depth > DEEPEST or "\n" not in self.cutter.text[start:end] or not any(unit.parts() for unit in units):
            yield from self._packed_lines(start, end, path, around)
        else:
            yield from self._level(self._opened(units), start, end, path, around, depth + 1)

    def _level(
        self, units: list[Unit], start: int, end: int, path: tuple[str, ...], around: tuple[Span, ...], depth: int
    ) -> Iterator[Cut]:
        """The groups of one level, neighbours joined while they fit and are statements or small."""
        waiting: Cut | None = None
        alone = self.records and depth == 1
        for group, a, b in self._groups(units, start, end):
            name = next((unit.name for unit in reversed(group) if unit.name), "")
            for cut in self._span(group, a, b, (*path, name) if name else path, around, depth):
                is_whole = cut.around == around
                if waiting is not None and is_whole and self._join(waiting, cut, None if alone else path):
                    waiting = Cut(waiting.start, cut.end, path, around=around)
                    continue
                if waiting is not None:
                    yield waiting
                waiting = cut if is_whole else None
                if not is_whole:
                    yield cut
        if waiting is not None:
            yield waiting

    def _join(self, before: Cut, after: Cut, path: tuple[str, ...] | None) -> bool:
        small = self.cutter.max_tokens // SMALL
        may = all(cut.heading == path or self.cutter.fits(cut.start, cut.end, small) for cut in (before, after))
        return may and self.cutter.fits(before.start, after.end)

    def _groups(self, units: list[Unit], start: int, end: int) -> Iterator[tuple[list[Unit], int, int]]:
        """Units that belong together, with spans that leave nothing out between `start` and `end`."""
        groups: list[list[Unit]] = []
        reached, leads = start, False
        for unit in units:
            if groups and self._belongs(reached, leads, unit):
                groups[-1].append(unit)
                reached, leads = max(reached, unit.end), leads and unit.leads
            else:
                groups.append([unit])
                reached, leads = unit.end, unit.leads
        starts = [start, *(max(start, group[0].start) for group in groups[1:]), end]
        for group, a, b in zip(groups, starts, starts[1:], strict=False):
            a, b = self.cutter.trim(a, b)
            if a < b:
                yield group, a, b

    def _belongs(self, reached: int, leads: bool, unit: Unit) -> bool:
        """Whether a unit goes with those before it: their line, what they describe, their docstring or bracket."""
        text = self.cutter.text
        breaks = text.count("\n", self._last(reached), unit.start)
        is_bracket = unit.end - unit.start <= 3 and _BRACKET.fullmatch(text, unit.start, unit.end) is not None
        return breaks == 0 or is_bracket or unit.closes or (leads and breaks == 1)

    def _opened(self, units: Sequence[Unit]) -> list[Unit]:
        """The parts of the units. A body, and what begins on the line where its neighbour ends, is opened too."""
        opened: list[Unit] = []
        waiting = [part for unit in reversed(units) for part in reversed(unit.parts() or [unit])]
        text = self.cutter.text
        while waiting:
            unit = waiting.pop()
            shares_line = bool(opened) and "\n" not in text[self._last(opened[-1].end) : unit.start]
            parts = unit.parts() if unit.is_body or (shares_line and "\n" in text[unit.start : unit.end]) else []
            if parts:
                waiting.extend(reversed(parts))
            else:
                opened.append(unit)
        return opened

    def _last(self, end: int) -> int:
        """`end` without white space before it: some grammars count a line feed to what it ends."""
        while end > 0 and self.cutter.text[end - 1].isspace():
            end -= 1
        return end

    def _packed_lines(self, start: int, end: int, path: tuple[str, ...], around: tuple[Span, ...]) -> Iterator[Cut]:
        waiting: Span | None = None
        for a, b in self.cutter.lines(start, end):
            if waiting is not None and self.cutter.fits(waiting[0], b):
                waiting = (waiting[0], b)
                continue
            if waiting is not None:
                yield Cut(*waiting, path, around=around)
            waiting = (a, b)
        if waiting is not None:
            yield Cut(*waiting, path, around=around)
