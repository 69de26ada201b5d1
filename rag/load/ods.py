"""ODS by sheet: what its cells show, dates in ISO 8601, comments. Formulas are not computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.load.budget import MOST_CELLS, Budget
from rag.load.formats import Parsed
from rag.load.odf import body_of, count, count_of, odf_properties, open_odf, styles_of
from rag.load.odf_text import Context, plain, rows_of, shape_blocks
from rag.load.ooxml import comment_line
from rag.load.safe_xml import attribute, attributes, local
from rag.load.sheets import Grid, column_name, grid_markdown, merge

REPEATED = 1000
"""A filled cell or row that stands for many is written at most so often."""


def parse(data: bytes) -> Parsed:
    """Each visible sheet under a heading with its name, in order."""
    archive = open_odf(data)
    content = archive.xml("content.xml")
    context = Context(styles_of(archive, content), Budget())
    cells = Budget(MOST_CELLS, "cells")
    sections = []
    for sheet in body_of(content, "spreadsheet").iterfind("{*}table"):
        if attribute(sheet, "style-name") in context.styles.hidden:
            continue
        grid, comments = _grid(sheet, cells)
        blocks = [grid_markdown(grid, context.budget), *_drawn(sheet, context), *comments]
        if text := "\n\n".join(block for block in blocks if block):
            sections.append(f"## {' '.join(attribute(sheet, 'name').split())}\n\n{text}\n")
    title, metadata = odf_properties(archive)
    return Parsed(("\n".join(sections),), title, metadata)


def _grid(sheet: Any, cells: Budget) -> tuple[Grid, list[str]]:
    """The filled cells, merged ones repeated, and the comments on them."""
    grid: Grid = {}
    merged, comments = [], []
    at_row = 1
    for row in rows_of(sheet):
        line: dict[int, str] = {}
        column = 1
        for cell in row:
            about = attributes(cell)
            wide = count(about.get("number-columns-repeated", "1"))
            if text := _text(cell, about):
                across, down = (count(about.get(f"number-{way}-spanned", "1")) for way in ("columns", "rows"))
                if across > 1 or down > 1:
                    merged.append(((at_row, column), (at_row + down - 1, column + across - 1)))
                cells.spend(min(wide, REPEATED))
                line.update((column + i, text) for i in range(min(wide, REPEATED)))
            if (note := cell.find("{*}annotation")) is not None:
                comments.append(_comment(note, f"{column_name(column)}{at_row}"))
            column += wide
        times = count_of(row, "number-rows-repeated")
        for below in range(min(times, REPEATED) if line else 0):
            cells.spend(len(line) if below else 0)
            grid[at_row + below] = dict(line)
        at_row += times
    for first, last in merged:
        merge(grid, first, last, cells)
    return grid, comments


def _text(cell: Any, about: dict[str, str]) -> str:
    """What a cell shows, but dates and truth values as they are saved: shown dates leave out the year, or the order."""
    if local(cell) != "table-cell":
        return ""
    kind = about.get("value-type")
    if kind == "date" and (date := about.get("date-value")):
        return date.replace("T", " ").removesuffix(" 00:00:00")
    if kind == "boolean" and (value := about.get("boolean-value")):
        return value.upper()
    return plain(cell) or about.get("value", "")


def _comment(note: Any, place: str) -> str:
    said = {local(each): each.text or "" for each in note}
    return comment_line(plain(note), said.get("creator", ""), said.get("date", ""), place)


def _drawn(sheet: Any, context: Context) -> Iterator[str]:
    """The text boxes that lie on a sheet."""
    for holder in sheet.iterfind("{*}shapes"):
        for shape in holder:
            yield from shape_blocks(shape, context)
