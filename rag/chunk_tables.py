"""A table that is too long for one passage: cut between rows, each part with what its columns mean."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.chunk_bounds import Cutter
from rag.structure import Cut, Span

CAPTION_CHARACTERS = 160
_RULE = re.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?[ \t]*)?$")


def table_parts(cutter: Cutter, start: int, end: int, title: str = "") -> Iterator[Cut]:
    """The rows of a pipe table in parts that fit, with the context that each needs.

    The first part holds the header itself; the others have the title and the header row as context, so that part
    and context fit together. There a header longer than half of a passage is cut short, a title longer than a
    quarter left out.
    """
    rows = list(_rows(cutter, start, end))
    title = title if cutter.count(title) <= cutter.max_tokens // 4 else ""
    header = rows[0] if len(rows) > 2 and _RULE.match(cutter.text[slice(*rows[1])]) else None
    above = "\n".join(part for part in (title, _header(cutter, header, rows)) if part)
    room = cutter.max_tokens - cutter.count(above)
    if room < cutter.max_tokens // 4:
        above, room = "", cutter.max_tokens
    waiting: Span | None = None
    context, limit = title, cutter.max_tokens - cutter.count(title)
    for position, row in enumerate(rows):
        if waiting is not None and cutter.fits(waiting[0], row[1], limit):
            waiting = (waiting[0], row[1])
            continue
        if waiting is not None:
            yield Cut(*waiting, context=context)
        if header is not None and position > 1:
            context, limit = above, room
        parts = [row] if cutter.fits(*row, limit) else list(cutter.bounded(*row, limit))
        for part in parts[:-1]:
            yield Cut(*part, context=context)
        waiting = parts[-1]
    if waiting is not None:
        yield Cut(*waiting, context=context)


def caption(text: str, start: int, end: int) -> str:
    """The last paragraph of `text[start:end]` when it is one short line, as a table's title is."""
    last = re.split(r"\n[ \t]*\n", text[start:end].strip())[-1].strip()
    return last if "\n" not in last and len(last) <= CAPTION_CHARACTERS else ""


def _header(cutter: Cutter, header: Span | None, rows: list[Span]) -> str:
    if header is None:
        return ""
    line, rule = cutter.text[slice(*header)], cutter.text[slice(*rows[1])]
    if cutter.count(f"{line}\n{rule}") <= cutter.max_tokens // 2:
        return f"{line}\n{rule}"
    cells = line.split("|")
    while len(cells) > 1 and cutter.count("|".join(cells)) > cutter.max_tokens // 2 - 2:
        cells = cells[: max(1, len(cells) * 3 // 4)]
    return f"{'|'.join(cells).rstrip()}| …" if "".join(cells).strip() else ""


def _rows(cutter: Cutter, start: int, end: int) -> Iterator[Span]:
    while start < end:
        newline = cutter.text.find("\n", start, end)
        stop = end if newline < 0 else newline
        row = cutter.trim(start, stop)
        if row[0] < row[1]:
            yield row
        start = stop + 1
