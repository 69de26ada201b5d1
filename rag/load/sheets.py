"""A sheet's cells as Markdown: its tables told apart, titles above them as paragraphs, for XLSX and ODS.

Only filled cells are held and written, so that neither a far corner nor claimed dimensions cost anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from rag.load.budget import Budget
from rag.load.tables import SPAN, pipe_table

Grid: TypeAlias = dict[int, dict[int, str]]
"""Text by row and column; no empty texts."""
DEEPEST = 8
"""Tables within gaps of tables are told apart to this depth."""
SPARSE = 10_000
"""A part with more places than this, of which fewer than one in twenty is filled, is listed cell by cell."""


def grid_markdown(grid: Grid, budget: Budget) -> str:
    """All cells of a sheet, its parts divided by empty rows, and by empty columns where both sides are tables."""
    return "\n\n".join(_part(part, budget) for part in _parts(grid, DEEPEST))


def _parts(grid: Grid, depth: int) -> Iterator[Grid]:
    for band in _bands(grid):
        groups = _column_groups(band) if depth else []
        if len(groups) < 2:
            yield band
            continue
        where = {column: number for number, columns in enumerate(groups) for column in columns}
        cut: list[Grid] = [{} for _ in groups]
        for row, cells in band.items():
            for column, text in cells.items():
                cut[where[column]].setdefault(row, {})[column] = text
        for each in cut:
            yield from _parts(each, depth - 1)


def _bands(grid: Grid) -> Iterator[Grid]:
    """Runs of rows that have no empty row among them."""
    band: Grid = {}
    for row in sorted(grid):
        if band and row - 1 not in band:
            yield band
            band = {}
        band[row] = grid[row]
    if band:
        yield band


def _column_groups(band: Grid) -> list[set[int]]:
    """Runs of columns with an empty one between; a run of one column belongs to its neighbour, as labels do."""
    groups: list[set[int]] = []
    last = None
    for column in sorted({column for cells in band.values() for column in cells}):
        if last is None or column > last + 1:
            groups.append(set())
        groups[-1].add(column)
        last = column
    joined: list[set[int]] = []
    for group in groups:
        if joined and (len(group) == 1 or len(joined[-1]) == 1):
            joined[-1] |= group
        else:
            joined.append(group)
    return joined


def _part(part: Grid, budget: Budget) -> str:
    """One table, its title rows as paragraphs above it; a single cell is a paragraph."""
    rows = sorted(part)
    columns = sorted({column for cells in part.values() for column in cells})
    filled, places = sum(map(len, part.values())), len(rows) * len(columns)
    if places > SPARSE and filled * 20 < places:
        return _listed(part, budget)
    blocks = []
    while rows and len(set(part[rows[0]].values())) == 1 and (len(columns) > 1 or len(rows) == 1):
        blocks.append(next(iter(part[rows.pop(0)].values())))
        budget.spend(len(blocks[-1]))
    table = pipe_table(([part[row].get(column, "") for column in columns] for row in rows), budget)
    return "\n\n".join([*blocks, table] if table else blocks)


def _listed(part: Grid, budget: Budget) -> str:
    lines = []
    for row in sorted(part):
        for column in sorted(part[row]):
            lines.append(f"{column_name(column)}{row}: {' '.join(part[row][column].split())}")
            budget.spend(len(lines[-1]) + 1)
    return "\n".join(lines)


def column_name(column: int) -> str:
    """The letters of a column, from 1: A, Z, AA."""
    letters = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def merge(grid: Grid, first: tuple[int, int], last: tuple[int, int], cells: Budget) -> None:
    """Repeat the text at `first` (row, column) to `last`, within the rows that are used and SPAN columns."""
    row, column = first
    text = grid.get(row, {}).get(column, "")
    if not text:
        return
    across = range(column, min(last[1], column + SPAN - 1) + 1)
    for below in range(row, min(last[0], row + 1000 * SPAN) + 1):
        cells.spend(1)
        line = grid.get(below)
        if line is None:
            continue
        for at in across:
            if at not in line:
                cells.spend(1)
                line[at] = text
