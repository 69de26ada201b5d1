"""XLSX and XLSM by sheet, with lxml over its parts, a row at a time: saved values, comments and charts.

Formulas are not computed and macros not looked at. Written over the parts because openpyxl, the usual library, reads
merged cells only where it holds the whole sheet as objects, takes claimed dimensions as they are, and loads numpy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rag.load.budget import MOST_CELLS, Budget
from rag.load.charts import chart_markdown
from rag.load.drawing import plain
from rag.load.excel_values import number_text, style_kinds
from rag.load.formats import Parsed
from rag.load.ooxml import comment_line, core_properties, main_part, related, relations
from rag.load.package import Package
from rag.load.safe_xml import attribute, iterate_xml, local
from rag.load.sheets import Grid, grid_markdown, merge

_CELL = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})", re.ASCII)
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


@dataclass(frozen=True, slots=True)
class Book:
    """What the sheets of a workbook share: its strings, what its styles show, its epoch, and what may still be read."""

    strings: tuple[str, ...]
    kinds: list[str]
    since_1904: bool
    persons: dict[str, str]
    cells: Budget
    text: Budget


def parse(data: bytes) -> Parsed:
    """Each visible sheet under a heading with its name, in the order of the workbook."""
    archive = Package(data)
    workbook = main_part(archive, "xl/workbook.xml")
    root, parts = archive.xml(workbook), relations(archive, workbook)
    about = next(root.iter("{*}workbookPr"), None)
    book = Book(
        strings=_shared_strings(archive, workbook),
        kinds=[kind for part in related(archive, workbook, "styles") for kind in style_kinds(archive.xml(part))],
        since_1904=about is not None and about.get("date1904") in ("1", "true"),
        persons=_persons(archive, workbook),
        cells=Budget(MOST_CELLS, "cells"),
        text=Budget(),
    )
    sections = []
    for sheet in root.iterfind("{*}sheets/{*}sheet"):
        relation = parts.get(attribute(sheet, "id"))
        hidden = sheet.get("state", "visible") != "visible"
        if hidden or relation is None or relation.external or relation.target not in archive:
            continue
        text = _sheet(archive, relation.target, relation.kind, book)
        if text:
            sections.append(f"## {' '.join(sheet.get('name', '').split())}\n\n{text}\n")
    title, metadata = core_properties(archive)
    return Parsed(("\n".join(sections),), title, metadata)


def _sheet(archive: Package, part: str, kind: str, book: Book) -> str:
    blocks = []
    if kind == "worksheet":
        blocks.append(grid_markdown(_grid(archive.read(part), book), book.text))
    for drawing in related(archive, part, "drawing"):
        blocks += [plain(shape) for shape in archive.xml(drawing).iter("{*}sp")]
        blocks += [chart_markdown(archive, chart, book.text) for chart in related(archive, drawing, "chart")]
    blocks += _comments(archive, part, book.persons)
    return "\n\n".join(block for block in blocks if block)


def _grid(content: bytes, book: Book) -> Grid:
    """The filled cells of a worksheet, merged ones repeated."""
    grid: Grid = {}
    merged = []
    at_row = 0
    for element in iterate_xml(content, "row", "mergeCell"):
        if local(element) == "mergeCell":
            merged.append(element.get("ref", ""))
            continue
        number = element.get("r", "")
        at_row = int(number) if number.isdecimal() and len(number) < 8 else at_row + 1
        line = _row(element, book)
        book.cells.spend(len(line))
        if line:
            grid.setdefault(at_row, {}).update(line)
    for reference in merged:
        corners = [place for place in map(_place, reference.split(":")) if place]
        if len(corners) == 2:
            merge(grid, corners[0], corners[1], book.cells)
    return grid


def _row(row: Any, book: Book) -> dict[int, str]:
    line = {}
    column = 0
    for cell in row:
        place = _place(cell.get("r", ""))
        column = place[1] if place else column + 1
        if text := _text(cell, book):
            line[column] = text
    return line


def _place(reference: str) -> tuple[int, int] | None:
    """Row and column, from 1, of a reference such as "AB12"."""
    match = _CELL.fullmatch(reference)
    if match is None:
        return None
    column = 0
    for letter in match.group(1):
        column = column * 26 + ord(letter) - 64
    return int(match.group(2)), column


def _text(cell: Any, book: Book) -> str:
    """A cell's saved value as text; a formula that was never computed stands as it is written."""
    value = formula = ""
    for child in cell:
        name = local(child)
        if name == "v":
            value = child.text or ""
        elif name == "is":
            return _string(child).strip()
        elif name == "f":
            formula = child.text or ""
    kind = cell.get("t", "n")
    if kind == "s":
        number = int(value) if value.isdecimal() and len(value) < 9 else len(book.strings)
        return book.strings[number].strip() if number < len(book.strings) else ""
    if not value:
        return f"={formula}" if formula else ""
    if kind == "b":
        return "TRUE" if value == "1" else "FALSE"
    if kind == "n":
        style = cell.get("s", "")
        shown = book.kinds[int(style)] if style.isdecimal() and len(style) < 9 and int(style) < len(book.kinds) else ""
        return number_text(value.strip(), shown, book.since_1904)
    return _unescaped(value).strip()


def _string(element: Any) -> str:
    """The runs of a string, without how it is pronounced."""
    pieces = []
    for child in element:
        name = local(child)
        if name == "t":
            pieces.append(child.text or "")
        elif name == "r":
            pieces += [node.text or "" for node in child.iterfind("{*}t")]
    return _unescaped("".join(pieces))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text) if "_x" in text else text


def _shared_strings(archive: Package, workbook: str) -> tuple[str, ...]:
    parts = related(archive, workbook, "sharedStrings")
    return tuple(_string(each) for part in parts for each in iterate_xml(archive.read(part), "si"))


def _persons(archive: Package, workbook: str) -> dict[str, str]:
    """Who commented, by id."""
    parts = related(archive, workbook, "person")
    return {person.get("id", ""): person.get("displayName", "") for part in parts for person in archive.xml(part)}


def _comments(archive: Package, sheet: str, persons: dict[str, str]) -> list[str]:
    """Comments by cell; those with answers are kept apart from the rest, which then hold a poorer copy of them."""
    found, threaded = [], set()
    for part in related(archive, sheet, "threadedComment"):
        for comment in archive.xml(part).iter("{*}threadedComment"):
            reference, body = comment.get("ref", ""), comment.find("{*}text")
            threaded.add(reference)
            author, date = persons.get(comment.get("personId", ""), ""), comment.get("dT", "")
            found.append(comment_line("" if body is None else body.text or "", author, date, reference))
    for part in related(archive, sheet, "comments"):
        root = archive.xml(part)
        authors = [author.text or "" for author in root.iter("{*}author")]
        for comment in root.iter("{*}comment"):
            number, body = comment.get("authorId", ""), comment.find("{*}text")
            known = number.isdecimal() and len(number) < 9 and int(number) < len(authors)
            if body is not None and comment.get("ref", "") not in threaded:
                author = authors[int(number)] if known else ""
                found.append(comment_line(_string(body), author, "", comment.get("ref", "")))
    return found
