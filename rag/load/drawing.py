"""DrawingML, the shapes and text of slides: shapes in order, paragraphs with their lists, tables, picture texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rag.load.omml import latex
from rag.load.ooxml import Relation
from rag.load.safe_xml import attribute, local
from rag.load.tables import Cell, spread

SHAPES = ("sp", "pic", "graphicFrame", "cxnSp", "contentPart")
_FILE_NAME = re.compile(r"\S*\.\w{3,4}")


def shapes_of(root: Any) -> Iterator[Any]:
    """All shapes of a slide in document order, groups opened; of alternatives, the first that holds any."""
    tree = next(root.iter("{*}spTree"), None)
    waiting = [] if tree is None else list(reversed(tree))
    while waiting:
        each = waiting.pop()
        name = local(each)
        if name in SHAPES:
            yield each
        elif name == "grpSp":
            waiting.extend(reversed(each))
        elif name == "AlternateContent":
            chosen = next((one for one in each if any(local(shape) in (*SHAPES, "grpSp") for shape in one)), ())
            waiting.extend(reversed(chosen))


def plain(element: Any) -> str:
    """All words of an element in one line, its paragraphs a blank apart."""
    return " ".join(" ".join(_text(paragraph, {}) for paragraph in element.iter("{*}p")).split())


def paragraphs(body: Any, links: dict[str, Relation], listed: bool) -> str:
    """The paragraphs of a text body as Markdown; `listed`: they are bullets unless they say otherwise."""
    if body is None:
        return ""
    lines: list[str] = []
    was_item = False
    counts: dict[int, int] = {}
    for paragraph in body.iterfind("{*}p"):
        text = _text(paragraph, links).strip()
        if not text:
            continue
        mark = _mark(paragraph, listed, counts)
        if lines and not (mark and was_item):
            lines.append("")
        lines.append(mark + (" ".join(text.split()) if mark else text))
        was_item = bool(mark)
    return "\n".join(lines)


def _mark(paragraph: Any, listed: bool, counts: dict[int, int]) -> str:
    """What stands before a paragraph: "- ", "2. " or nothing, indented by its level."""
    about = paragraph.find("{*}pPr")
    names = () if about is None else tuple(local(each) for each in about)
    level = "0" if about is None else about.get("lvl", "0")
    depth = int(level) if level in ("1", "2", "3", "4", "5", "6", "7", "8") else 0
    numbered = "buAutoNum" in names
    counts[depth] = counts.get(depth, 0) + 1 if numbered else 0
    for deeper in [each for each in counts if each > depth]:
        del counts[deeper]
    if "buNone" in names or not (listed or numbered or "buChar" in names or "buBlip" in names):
        return ""
    return "  " * depth + (f"{counts[depth]}. " if numbered else "- ")


def _text(paragraph: Any, links: dict[str, Relation]) -> str:
    """The words of one paragraph, its line breaks kept, links of the web as Markdown links."""
    pieces = []
    for each in paragraph:
        name = local(each)
        if name == "AlternateContent":
            each = next(iter(each), each)
        if name == "br":
            pieces.append("\n")
        elif name not in ("pPr", "endParaRPr"):
            pieces += [f"${latex(formula)}$" for formula in each.iter("{*}oMath")] or [_linked(each, links)]
    return "".join(pieces).replace("\v", "\n")


def _linked(run: Any, links: dict[str, Relation]) -> str:
    text = "".join(node.text or "" for node in run.iter("{*}t"))
    click = run.find("{*}rPr/{*}hlinkClick") if links and text.strip() else None
    relation = None if click is None else links.get(attribute(click, "id"))
    if relation is None or not relation.external or not relation.target.startswith(("http://", "https://", "mailto:")):
        return text
    return text if relation.target == text.strip() else f"[{text}]({relation.target})"


def table_rows(table: Any) -> Iterator[list[str]]:
    """The rows of a table on a slide, merged cells repeated."""
    return spread(map(_cells, table.iterfind("{*}tr")))


def _cells(row: Any) -> Iterator[Cell]:
    for cell in row.iterfind("{*}tc"):
        if not (cell.get("hMerge") or cell.get("vMerge")):
            yield Cell(plain(cell), _count(cell, "gridSpan"), _count(cell, "rowSpan"))


def _count(cell: Any, name: str) -> int:
    value = cell.get(name, "1")
    return int(value) if value.isdecimal() and len(value) < 6 else 1


def alternative(picture: Any) -> str:
    """A picture's text for those who cannot see it, unless it is the name of a file."""
    about = next(picture.iter("{*}cNvPr"), None)
    text = "" if about is None else " ".join(about.get("descr", "").split())
    return "" if _FILE_NAME.fullmatch(text) else text
