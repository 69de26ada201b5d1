"""Rows of cells as a pipe table with a header row, and merged cells as the cells that they cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.load.budget import Budget

SPAN = 50
"""A merged cell is repeated at most so often in each direction, whatever its attributes claim."""


def pipe_table(rows: Iterable[Sequence[str]], budget: Budget) -> str:
    """A Markdown table, the first row its header; empty without rows.

    Rows keep their own lengths, and the header is as long as the longest: a row that lacks cells at its end is
    read as if they were empty, and none is lost.

    Raises:
        DocumentLimit: it would be longer than what is left of `budget`.
    """
    lines, width, first = [], 0, 0
    for row in rows:
        cells = [_cell(cell) for cell in row]
        while len(cells) > 1 and not cells[-1]:
            cells.pop()
        width, first = max(width, len(cells)), first or len(cells)
        lines.append(f"| {' | '.join(cells)} |")
        budget.spend(len(lines[-1]) + 1)
    if not lines:
        return ""
    budget.spend(10 * width)
    lines[0] += "  |" * (width - first)
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with how many columns and rows it covers."""

    text: str
    across: int = 1
    down: int = 1


def spread(rows: Iterable[Iterable[Cell]]) -> Iterator[list[str]]:
    """Each merged cell repeated in every place that it covers, so that each row can be read by itself.

    Rows hold only the cells that begin in them, as HTML rows do.
    """
    hanging: dict[int, tuple[int, str]] = {}  # column: rows still covered, and the text
    for row in rows:
        line: list[str] = []
        for cell in row:
            _covered(line, hanging)
            for _ in range(min(max(cell.across, 1), SPAN)):
                if cell.down > 1:
                    hanging[len(line)] = (min(cell.down, SPAN) - 1, cell.text)
                line.append(cell.text)
        _covered(line, hanging)
        yield line


def _covered(line: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Fill the places of cells that began in rows above."""
    while len(line) in hanging:
        rows, text = hanging.pop(len(line))
        if rows > 1:
            hanging[len(line)] = (rows - 1, text)
        line.append(text)
