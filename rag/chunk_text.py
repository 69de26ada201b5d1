"""Sections into spans that fit: whole where they can be, else by blocks, sentences, rows, lines and words.

Prose is split by LlamaIndex's SentenceSplitter with our own sentences, so that it never looks for NLTK data; its
chunks are found again with a cursor, which is exact because they come without overlap. Its MarkdownNodeParser
rewrites headings and loses offsets, so `rag.structure` finds headings, code fences and tables instead.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rag.chunk_code import CodeCutter
from rag.chunk_tables import caption, table_parts
from rag.sentences import split_sentences
from rag.structure import Block, Cut, Section, Span

WINDOW = 20_000
"""Characters of prose that are split at a time, so that time and memory grow with the text and not faster."""
LONG_RUN = 1_000
"""A sentence with so many characters between white space is halved; the splitter would count each one by itself."""
_LANGUAGE = re.compile(r"[`~]{3,}[ \t]*\{?\.?([\w+#-]+)")
_FENCE_END = re.compile(r"[ \t]*[`~]{3,}[ \t]*")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span that fits into a passage.

    Attributes:
        prose_from: where the prose at its end begins, for the overlap.
        context: of a part of a table; it stays a passage by itself.
    """

    start: int
    end: int
    prose_from: int
    context: str | None = None


class TextCutter:
    """The bounds of one run of `chunk`, and the splitter that is made once for it."""

    def __init__(self, text: str, max_tokens: int, overlap: int, count: Callable[[str], int]) -> None:
        self.text, self.max_tokens, self.overlap, self.count = text, max_tokens, overlap, count
        self._split: Callable[[str], list[str]] | None = None

    def cut(self, section: Section) -> Iterator[Cut]:
        """The passages of one section, without white space around them, each starting after the one before."""
        whole = self.trim(section.blocks[0].start, section.blocks[-1].end)
        if whole[0] == whole[1]:
            return
        if self.fits(*whole):
            yield Cut(*whole, section.heading, page=section.page)
            return
        previous: _Piece | None = None
        for piece in self._packed(section):
            start = self._reach_back(piece, previous) if previous and piece.context is None else piece.start
            yield Cut(start, piece.end, section.heading, piece.context or "", page=section.page)
            previous = piece

    def _packed(self, section: Section) -> Iterator[_Piece]:
        """Join neighbours while they fit, leaving room for the overlap."""
        current: _Piece | None = None
        for piece in self._all_pieces(section):
            alone = piece.context is not None or (current is not None and current.context is not None)
            if (
                current is not None
                and not alone
                and self.fits(current.start, piece.end, self.max_tokens - self.overlap)
            ):
                is_all_prose = piece.prose_from == piece.start and current.prose_from < current.end
                current = _Piece(current.start, piece.end, current.prose_from if is_all_prose else piece.prose_from)
                continue
            if current is not None:
                yield current
            current = piece
        if current is not None:
            yield current

    def _all_pieces(self, section: Section) -> Iterator[_Piece]:
        above: Block | None = None
        for block in section.blocks:
            yield from self._pieces(block, above)
            above = block

    def _pieces(self, block: Block, above: Block | None) -> Iterator[_Piece]:
        """A block as spans that fit: whole where it is a fence or a table, else by sentences, rows or lines."""
        start, end = self.trim(block.start, block.end)
        if start == end:
            return
        if block.kind == "prose":
            limit = self.max_tokens - self.overlap
            if self.fits(start, end, limit):
                yield _Piece(start, end, start)
                return
            for a, b in self._windows(start, end):
                yield from (_Piece(c, d, c) for c, d in self._prose(a, b, limit))
        elif self.fits(start, end):
            yield _Piece(start, end, end)
        elif block.kind == "table":
            title = caption(self.text, above.start, above.end) if above and above.kind == "prose" else ""
            for part in table_parts(self, start, end, title):
                yield _Piece(part.start, part.end, part.end, part.context)
        else:
            yield from (_Piece(a, b, b) for a, b in self._fenced(start, end))

    def _fenced(self, start: int, end: int) -> Iterator[Span]:
        """A fence that is too long: its inside by syntax, its first and last line apart."""
        first = self.text.find("\n", start, end)
        last = self.text.rfind("\n", start, end)
        if first < 0 or not _FENCE_END.fullmatch(self.text, last + 1, end):
            last = end
        inside = (first, last) if 0 <= first < last else (end, end)
        yield from self.lines(start, inside[0])
        named = _LANGUAGE.match(self.text, start, inside[0])
        for cut in CodeCutter(self).cut(named.group(1) if named else "", *inside):
            yield cut.start, cut.end
        yield from self.lines(inside[1], end)

    def _windows(self, start: int, end: int) -> Iterator[Span]:
        """Stretches of at most WINDOW characters that end at a paragraph, else a line, else a word where possible."""
        while end - start > WINDOW:
            stops = (self.text.rfind(mark, start + WINDOW // 2, start + WINDOW) for mark in ("\n\n", "\n", " "))
            stop = next((stop for stop in stops if stop > 0), start + WINDOW)
            yield start, stop
            start = stop
        yield start, end

    def _prose(self, start: int, end: int, limit: int) -> Iterator[Span]:
        """Spans of prose that fit: by sentences, except that a sentence with a very long word is halved."""
        begin = start
        if _has_long_run(self.text[start:end]):
            for sentence in split_sentences(self.text[start:end]):
                if _has_long_run(sentence.text):
                    yield from self._sentences(begin, start + sentence.start, limit)
                    begin = start + sentence.end
                    yield from self.bounded(start + sentence.start, begin)
        yield from self._sentences(begin, end, limit)

    def _sentences(self, start: int, end: int, limit: int) -> Iterator[Span]:
        """Prose through LlamaIndex. A chunk is looked for from the end of the one before, past white space only."""
        start, end = self.trim(start, end)
        cursor = start
        try:
            parts = self._splitter(limit)(self.text[start:end])
        except ValueError:  # one character alone has too many tokens
            parts = [self.text[start:end]] if start < end else []
        for part in parts:
            cursor = self._skip_space(cursor, end)
            if not self.text.startswith(part, cursor):
                raise AssertionError("a chunk is not where the one before it ended")
            yield from self.bounded(cursor, cursor + len(part))
            cursor += len(part)

    def lines(self, start: int, end: int) -> Iterator[Span]:
        """What is too long, by its lines, and those by words where they are too long."""
        cursor = start
        while cursor < end:
            newline = self.text.find("\n", cursor, end)
            stop = end if newline < 0 else newline
            a, b = self.trim(cursor, stop)
            if a < b:
                yield from self.bounded(a, b)
            cursor = stop + 1

    def bounded(self, start: int, end: int, limit: int | None = None) -> Iterator[Span]:
        """Halves of a span, and of these, until each fits: tokens of parts need not add up to those of the whole."""
        if end - start <= 1 or self.fits(start, end, limit):
            yield start, end
            return
        middle = (start + end) // 2
        space = self.text.rfind(" ", start + 1, middle)
        middle = space if space > start + (end - start) // 4 else middle
        for a, b in (self.trim(start, middle), self.trim(middle, end)):
            if a < b:
                yield from self.bounded(a, b, limit)

    def _reach_back(self, piece: _Piece, previous: _Piece) -> int:
        """Where the passage begins when it repeats the last whole sentences of the prose before it."""
        begin = piece.start
        if not self.overlap:
            return begin
        tail_start = previous.prose_from
        for sentence in reversed(split_sentences(self.text[tail_start : previous.end])):
            start = tail_start + sentence.start
            repeats = self.count(self.text[start : piece.start]) <= self.overlap
            if start <= previous.start or not repeats or not self.fits(start, piece.end):
                break
            begin = start
        return begin

    def _splitter(self, limit: int) -> Callable[[str], list[str]]:
        if self._split is None:
            from llama_index.core.node_parser import SentenceSplitter

            self._split = SentenceSplitter(
                chunk_size=limit,
                chunk_overlap=0,
                paragraph_separator="\n\n",
                tokenizer=lambda text: range(self.count(text)),
                chunking_tokenizer_fn=_lossless_sentences,
            ).split_text
        return self._split

    def fits(self, start: int, end: int, limit: int | None = None) -> bool:
        """Whether the span has at most `limit` tokens, `max_tokens` when None."""
        most = self.max_tokens if limit is None else limit
        # Twice over within its first characters: more text does not undo that, so the rest need not be counted.
        if end - start > WINDOW and self.count(self.text[start : start + WINDOW]) > 2 * most:
            return False
        return self.count(self.text[start:end]) <= most

    def trim(self, start: int, end: int) -> Span:
        """The span without white space around it."""
        start = self._skip_space(start, end)
        return start, start + len(self.text[start:end].rstrip())

    def _skip_space(self, start: int, end: int) -> int:
        while start < end and self.text[start].isspace():
            start += 1
        return start


def _has_long_run(text: str) -> bool:
    return any(len(word) >= LONG_RUN for word in text.split())


def _lossless_sentences(text: str) -> list[str]:
    """Sentences with the white space after them: joined, they are the text."""
    starts = [0, *(sentence.start for sentence in split_sentences(text)[1:]), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(starts)]
