"""The structure of a document as spans: pages, sections under headings, and in them prose, fences and tables.

Knows the block structure of Markdown that matters for cutting (ATX and underlined headings, fences, pipe tables),
and nothing of tokens. Plain text and PDF have no structure but their pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rag.types import Document

UNSTRUCTURED = frozenset({"text/plain", "application/pdf"})
Kind = Literal["prose", "fence", "table", "heading"]
Span: TypeAlias = tuple[int, int]
"""Character offsets into a document's text, end exclusive."""
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})(.*)$")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_NO_PARAGRAPH = re.compile(r"[ \t]*(?:[-*+>|#]|\d+[.)])")


@dataclass(frozen=True, slots=True)
class Block:
    """A run of whole lines, `[start, end)`, that is prose, one code fence, one table or one heading."""

    kind: Literal["prose", "fence", "table"]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under one heading path on one page, in order, without gaps between them.

    Attributes:
        heading: the path of headings, outermost first, its own last.
    """

    blocks: tuple[Block, ...]
    heading: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a passage is, before it is one.

    Attributes:
        heading: the path of headings or definitions above it, outermost first.
        context: what must be read with it, such as the header row of a table that was cut.
        around: the stretches that it was cut from, widest first; empty where the section is the only one.
        page: page number from 1 for paged formats.
    """

    start: int
    end: int
    heading: tuple[str, ...] = ()
    context: str = ""
    around: tuple[Span, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    kind: Kind
    start: int
    end: int
    level: int = 0
    title: str = ""


def sections(document: Document) -> Iterator[Section]:
    """The document's sections in order; together their blocks cover the text. None crosses a page."""
    pages = [(s.start, s.end, s.page) for s in document.segments] or [(0, len(document.text), None)]
    plain = document.media_type in UNSTRUCTURED or document.media_type.startswith("image/")
    for start, end, page in pages:
        if plain:
            yield Section((Block("prose", start, end),), page=page)
        else:
            yield from _structured(document.text, start, end, page)


def _structured(text: str, begin: int, end: int, page: int | None) -> Iterator[Section]:
    """Sections of one page, or of the whole text, by its headings."""
    blocks: list[Block] = []
    path: list[tuple[int, str]] = []
    has_body = False
    for part in _parts(text[begin:end]):
        block = Block("prose" if part.kind == "heading" else part.kind, begin + part.start, begin + part.end)
        if part.kind != "heading":
            blocks.append(block)
            has_body = has_body or bool(text[block.start : block.end].strip())
            continue
        goes_deeper = bool(path) and part.level > path[-1][0]
        if blocks and (has_body or (path and not goes_deeper)):  # a heading alone joins the section below it
            yield Section(tuple(blocks), _titles(path), page)
            blocks = []
        path = [*(outer for outer in path if outer[0] < part.level), (part.level, part.title)]
        blocks.append(block)
        has_body = False
    if blocks:
        yield Section(tuple(blocks), _titles(path), page)


def _titles(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(title for _, title in path if title)


def _parts(text: str) -> Iterator[_Part]:
    r"""Runs of lines of one kind. Lines end at `\n` alone."""
    lines = list(_lines(text))
    at = 0
    while at < len(lines):
        start, line = lines[at]
        if opening := _fence(line):
            until = _fence_end(lines, at, opening)
            kind: Kind = "fence"
        elif heading := _heading(lines, at):
            level, title, height = heading
            yield _Part("heading", start, _end(lines, at + height, text), level, title)
            at += height
            continue
        elif _ROW.match(line):
            until = next((i for i in range(at, len(lines)) if not _ROW.match(lines[i][1])), len(lines))
            kind = "table"
        else:
            until = next((i for i in range(at + 1, len(lines)) if _starts_other(lines, i)), len(lines))
            kind = "prose"
        yield _Part(kind, start, _end(lines, until, text))
        at = until


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1


def _end(lines: list[tuple[int, str]], at: int, text: str) -> int:
    return lines[at][0] if at < len(lines) else len(text)


def _starts_other(lines: list[tuple[int, str]], at: int) -> bool:
    line = lines[at][1]
    return bool(_fence(line) or _ROW.match(line) or _heading(lines, at))


def _fence(line: str) -> re.Match[str] | None:
    """The opening of a fence; backticks after the mark make it inline code instead."""
    opening = _FENCE.match(line)
    return None if opening and opening.group(1)[0] == "`" and "`" in opening.group(2) else opening


def _heading(lines: list[tuple[int, str]], at: int) -> tuple[int, str, int] | None:
    """Level, title and height in lines of the heading that starts here, if one does."""
    line = lines[at][1]
    if atx := _ATX.match(line):
        title = line[atx.end() :].strip()
        without_closing = title.rstrip("#")
        return len(atx.group(1)), (without_closing if without_closing[-1:].isspace() else title).strip(), 1
    if not line.strip() or at + 1 == len(lines) or _NO_PARAGRAPH.match(line):
        return None
    underline = _UNDERLINE.match(lines[at + 1][1])
    if underline and (at == 0 or not lines[at - 1][1].strip()):
        return (1 if "=" in underline.group(1) else 2), line.strip(), 2
    return None


def _fence_end(lines: list[tuple[int, str]], at: int, opening: re.Match[str]) -> int:
    """The line after the fence that starts here; one that is never closed runs to the end."""
    mark = opening.group(1)
    for i in range(at + 1, len(lines)):
        closing = _FENCE.match(lines[i][1])
        if closing and closing.group(1).startswith(mark) and not closing.group(2).strip():
            return i + 1
    return len(lines)
