"""Cut a document into passages: bounded in tokens, exact in offsets, with page and heading path.

Prose is split by LlamaIndex's SentenceSplitter with our own sentences, so that it never looks for NLTK data; its
chunks are found again with a cursor, which is exact because they come without overlap. Its MarkdownNodeParser
rewrites headings and loses offsets, so `rag.structure` finds headings, code fences and tables instead.
"""

from __future__ import annotations

import bisect
import itertools
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rag.sentences import split_sentences
from rag.structure import Block, Section, sections
from rag.types import Document, Passage

NAMESPACE = uuid.UUID("6b1f9a52-8c0e-5f7a-9a54-7e1d1f0c2a11")
LEAST_TOKENS = 8
"""One character may be several tokens; a smaller bound could not be kept."""
WINDOW = 20_000
"""Characters of prose that are split at a time, so that time and memory grow with the text and not faster."""
LONG_RUN = 1_000
"""A sentence with so many characters between white space is halved; the splitter would count each one by itself."""
Count = Callable[[str], int]
Span = tuple[int, int]
_ESTIMATE = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,2}|[^\sA-Za-z0-9]")


def estimate_tokens(text: str) -> int:
    """About as many tokens as a WordPiece vocabulary makes, rather more than fewer; no model needed."""
    return sum(1 for _ in _ESTIMATE.finditer(text))


def chunk(
    document: Document, max_tokens: int = 180, overlap: int = 30, count: Count = estimate_tokens
) -> list[Passage]:
    """Cut a document into passages, in order of their place in the text.

    Every character that is not white space is in some passage. No passage crosses a page or a heading, and none
    ends inside a code fence or a table that would fit.

    Args:
        max_tokens: most tokens of a passage by `count`, at least 8. A single character with more stands alone.
        overlap: most tokens of whole sentences that a passage repeats from the one before it in its section.
        count: the embedder's tokenizer as a function from text to number of tokens.

    Raises:
        ValueError: `max_tokens` is below 8, or `overlap` is not between 0 and half of it.
    """
    if max_tokens < LEAST_TOKENS or not 0 <= overlap <= max_tokens // 2:
        raise ValueError(
            f"max_tokens={max_tokens} must be at least {LEAST_TOKENS}, overlap={overlap} at most half of it"
        )
    cutter = _Cutter(document.text, max_tokens, overlap, count)
    line_ends = [match.start() for match in re.finditer("\n", document.text)]
    return [
        _passage(document, start, end, section, line_ends)
        for section in sections(document)
        for start, end in cutter.cut(section)
    ]


def _passage(document: Document, start: int, end: int, section: Section, line_ends: list[int]) -> Passage:
    return Passage(
        id=str(uuid.uuid5(NAMESPACE, f"{document.source}|{document.content_hash}|{start}|{end}")),
        text=document.text[start:end],
        source=document.source,
        title=document.title,
        start=start,
        end=end,
        line_start=bisect.bisect_left(line_ends, start) + 1,
        line_end=bisect.bisect_left(line_ends, end) + 1,
        page=section.page,
        heading=section.heading,
        content_hash=document.content_hash,
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span that fits into a passage; `prose_from` is where the prose at its end begins, for the overlap."""

    start: int
    end: int
    prose_from: int


class _Cutter:
    """The bounds of one run of `chunk`, and the splitter that is made once for it."""

    def __init__(self, text: str, max_tokens: int, overlap: int, count: Count) -> None:
        self.text, self.max_tokens, self.overlap, self.count = text, max_tokens, overlap, count
        self._split: Callable[[str], list[str]] | None = None

    def cut(self, section: Section) -> Iterator[Span]:
        """The passages of one section, without white space around them, each starting after the one before."""
        whole = self._trim(section.blocks[0].start, section.blocks[-1].end)
        if whole[0] == whole[1]:
            return
        if self._fits(*whole):
            yield whole
            return
        previous: _Piece | None = None
        for piece in self._packed(section):
            yield (self._reach_back(piece, previous), piece.end) if previous else (piece.start, piece.end)
            previous = piece

    def _packed(self, section: Section) -> Iterator[_Piece]:
        """Join neighbours while they fit, leaving room for the overlap."""
        current: _Piece | None = None
        for piece in (piece for block in section.blocks for piece in self._pieces(block)):
            if current is not None and self._fits(current.start, piece.end, self.max_tokens - self.overlap):
                is_all_prose = piece.prose_from == piece.start and current.prose_from < current.end
                current = _Piece(current.start, piece.end, current.prose_from if is_all_prose else piece.prose_from)
                continue
            if current is not None:
                yield current
            current = piece
        if current is not None:
            yield current

    def _pieces(self, block: Block) -> Iterator[_Piece]:
        """A block as spans that fit: whole where it is a fence or a table, else by sentences or lines."""
        start, end = self._trim(block.start, block.end)
        if start == end:
            return
        if block.kind == "prose":
            limit = self.max_tokens - self.overlap
            if self._fits(start, end, limit):
                yield _Piece(start, end, start)
                return
            for a, b in self._windows(start, end):
                yield from (_Piece(c, d, c) for c, d in self._prose(a, b, limit))
        elif self._fits(start, end):
            yield _Piece(start, end, end)
        else:
            yield from (_Piece(a, b, b) for a, b in self._lines(start, end))

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
                    yield from self._bounded(start + sentence.start, begin)
        yield from self._sentences(begin, end, limit)

    def _sentences(self, start: int, end: int, limit: int) -> Iterator[Span]:
        """Prose through LlamaIndex. A chunk is looked for from the end of the one before, past white space only."""
        start, end = self._trim(start, end)
        cursor = start
        try:
            parts = self._splitter(limit)(self.text[start:end])
        except ValueError:  # one character alone has too many tokens
            parts = [self.text[start:end]] if start < end else []
        for part in parts:
            cursor = self._skip_space(cursor, end)
            if not self.text.startswith(part, cursor):
                raise AssertionError("a chunk is not where the one before it ended")
            yield from self._bounded(cursor, cursor + len(part))
            cursor += len(part)

    def _lines(self, start: int, end: int) -> Iterator[Span]:
        """A fence or table that is too long, by its lines."""
        cursor = start
        while cursor < end:
            newline = self.text.find("\n", cursor, end)
            stop = end if newline < 0 else newline
            a, b = self._trim(cursor, stop)
            if a < b:
                yield from self._bounded(a, b)
            cursor = stop + 1

    def _bounded(self, start: int, end: int) -> Iterator[Span]:
        """Halves of a span, and of these, until each fits: tokens of parts need not add up to those of the whole."""
        if end - start <= 1 or self._fits(start, end):
            yield start, end
            return
        middle = (start + end) // 2
        space = self.text.rfind(" ", start + 1, middle)
        middle = space if space > start + (end - start) // 4 else middle
        for a, b in (self._trim(start, middle), self._trim(middle, end)):
            if a < b:
                yield from self._bounded(a, b)

    def _reach_back(self, piece: _Piece, previous: _Piece) -> int:
        """Where the passage begins when it repeats the last whole sentences of the prose before it."""
        begin = piece.start
        if not self.overlap:
            return begin
        tail_start = previous.prose_from
        for sentence in reversed(split_sentences(self.text[tail_start : previous.end])):
            start = tail_start + sentence.start
            repeats = self.count(self.text[start : piece.start]) <= self.overlap
            if start <= previous.start or not repeats or not self._fits(start, piece.end):
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

    def _fits(self, start: int, end: int, limit: int | None = None) -> bool:
        return self.count(self.text[start:end]) <= (self.max_tokens if limit is None else limit)

    def _trim(self, start: int, end: int) -> Span:
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
