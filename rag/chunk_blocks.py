"""Text of an unknown language as a tree of units: blank lines and indentation say what belongs together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from rag.chunk_syntax import Unit

_COMMENT = re.compile(r"\s*(?:#|//|--|;|%|/\*|\*(?!\w))")
_Line = tuple[int, int, int]
"""Start, end without the line feed, and indentation; a blank line has none that counts and is left out."""


def blocks(text: str, begin: int = 0, end: int | None = None) -> Unit:
    """`text[begin:end]` as one unit: paragraphs, in them lines with what is indented below them, and so on."""
    lines: list[_Line] = []
    start = begin
    for line in text[begin:end].split("\n"):
        if line.strip():
            lines.append((start, start + len(line), len(line) - len(line.lstrip())))
        start += len(line) + 1
    return Unit(begin, len(text) if end is None else end, parts=partial(_paragraphs, text, lines))


def _paragraphs(text: str, lines: Sequence[_Line]) -> list[Unit]:
    """Runs of lines that begin after a blank line at the least indentation."""
    if not lines:
        return []
    least = min(indent for _, _, indent in lines)
    starts = [
        at
        for at, (start, _, indent) in enumerate(lines)
        if at == 0 or (indent == least and text.count("\n", lines[at - 1][1], start) > 1)
    ]
    if len(starts) == 1:
        return _entries(text, lines)
    return [_run(text, lines[a:b], _entries) for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]


def _entries(text: str, lines: Sequence[_Line]) -> list[Unit]:
    """Each line of the least indentation with the deeper ones below it."""
    least = min(indent for _, _, indent in lines)
    starts = [at for at, (_, _, indent) in enumerate(lines) if at == 0 or indent == least]
    return [_run(text, lines[a:b], _inside) for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]


def _inside(text: str, lines: Sequence[_Line]) -> list[Unit]:
    """The first line, and what is indented below it."""
    if len(lines) == 1:
        return []
    return [_run(text, lines[:1], _inside), *_paragraphs(text, lines[1:])]


def _run(text: str, lines: Sequence[_Line], parts: Callable[[str, Sequence[_Line]], list[Unit]]) -> Unit:
    start, end = lines[0][0], lines[-1][1]
    return Unit(
        start, end, leads=len(lines) == 1 and bool(_COMMENT.match(text, start)), parts=partial(parts, text, lines)
    )
