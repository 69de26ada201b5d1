"""Text of OpenDocument as Markdown: paragraphs, headings, lists, tables, notes, comments, text boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rag.load.budget import Budget
from rag.load.odf import Styles, count_of
from rag.load.ooxml import comment_line
from rag.load.safe_xml import attribute, local
from rag.load.tables import SPAN, Cell, pipe_table, spread

LEFT_OUT = frozenset(
    {"tracked-changes", "table-of-content", "sequence-decls", "variable-decls", "user-field-decls", "forms", "notes"}
    | {"illustration-index", "table-index", "object-index", "alphabetical-index", "settings", "dde-connection-decls"}
)
"""Deleted text, and lists that repeat headings and captions."""
SHAPES = frozenset(
    {"frame", "custom-shape", "rect", "ellipse", "circle", "polygon", "line", "connector", "caption", "g"}
)
ASIDE = SHAPES | {"note", "annotation"}
"""What stands within a line, but is read after it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every part of the text is read with."""

    styles: Styles
    budget: Budget
    headings: bool = True


def blocks(element: Any, context: Context) -> Iterator[str]:
    """The Markdown blocks of an element's children, none of them empty."""
    for child in element:
        name = local(child)
        if name in LEFT_OUT:
            continue
        if name in ("p", "h"):
            yield from _paragraph(child, name, context)
        elif name == "list":
            if text := "\n".join(_list(child, context, attribute(child, "style-name"), 1)):
                yield text
        elif name == "table":
            if table := pipe_table(table_rows(child), context.budget):
                yield table
        elif name == "annotation":
            yield from _comment(child)
        elif name in SHAPES:
            yield from shape_blocks(child, context)
        else:
            yield from blocks(child, context)


def _paragraph(element: Any, name: str, context: Context) -> Iterator[str]:
    text = line_text(element)
    context.budget.spend(len(text))
    if text:
        level = context.styles.heading_level(attribute(element, "style-name"))
        if name == "h":
            level = count_of(element, "outline-level")
        heading = f"{'#' * min(level, 6)} {' '.join(text.split())}"
        yield heading if level and context.headings else text
    for aside in _asides(element):
        if local(aside) == "annotation":
            yield from _comment(aside)
        elif local(aside) == "note":
            citation = aside.find("{*}note-citation")
            mark = "" if citation is None else citation.text or ""
            yield f"[^{mark}]: {plain(aside.find('{*}note-body'))}"
        else:
            yield from shape_blocks(aside, context)


def shape_blocks(shape: Any, context: Context) -> Iterator[str]:
    """What a shape says: its text box, table or own paragraphs, else its alternative text."""
    found = list(blocks(shape, context))
    if found:
        yield from found
        return
    for name in ("desc", "title"):
        described = shape.find("{*}" + name)
        if described is not None and (described.text or "").strip():
            yield " ".join(described.text.split())
            return


def _list(element: Any, context: Context, style: str, level: int) -> Iterator[str]:
    """The lines of a list; an item that is only a list within it stands one level down, without a mark."""
    style = attribute(element, "style-name") or style
    numbered = (style, level) in context.styles.numbered
    number = 0
    for item in element:
        if local(item) not in ("list-item", "list-header"):
            continue
        marked = False
        for child in item:
            if local(child) == "list":
                yield from (
                    "  " + " " * (numbered and marked) + line for line in _list(child, context, style, level + 1)
                )
                continue
            texts = list(blocks([child], context))
            number += bool(texts and not marked)
            for text in texts:
                mark = f"{number}. " if numbered else "- "
                lead = " " * len(mark) if marked else mark
                yield lead + text.replace("\n", "\n" + " " * len(mark))
                marked = True


def table_rows(table: Any) -> Iterator[list[str]]:
    """The rows of a table within a text, merged cells repeated, tables within cells as their words."""
    return spread(
        _cells(row) for row in rows_of(table) for _ in range(min(count_of(row, "number-rows-repeated"), SPAN))
    )


def _cells(row: Any) -> Iterator[Cell]:
    for cell in row:
        if local(cell) == "table-cell":
            once = Cell(plain(cell), count_of(cell, "number-columns-spanned"), count_of(cell, "number-rows-spanned"))
            yield from [once] * min(count_of(cell, "number-columns-repeated"), SPAN)


def rows_of(table: Any) -> Iterator[Any]:
    """The rows of a table, of its groups and of its header, but not those of tables within its cells."""
    waiting = list(reversed(table))
    while waiting:
        each = waiting.pop()
        if local(each) == "table-row":
            yield each
        elif local(each) in ("table-header-rows", "table-rows", "table-row-group"):
            waiting.extend(reversed(each))


def plain(element: Any) -> str:
    """All words of an element in one line, without comments."""
    if element is None:
        return ""
    if len(element) == 1 and not len(element[0]):  # as most cells of a sheet are
        return " ".join((element[0].text or "").split()) if local(element[0]) in ("p", "h") else ""
    inner = (each for each in element.iter("{*}p", "{*}h") if not _in_comment(each, element))
    return " ".join(" ".join(line_text(each) for each in inner).split())


def line_text(paragraph: Any) -> str:
    """The words of one paragraph: blanks as they count, line breaks kept, links of the web as Markdown links."""
    lines = "".join(_inline(paragraph)).split("\n")
    return "\n".join(" ".join(line.split()) for line in lines).strip()


def _inline(element: Any) -> Iterator[str]:
    yield _one_line(element.text)
    for child in element:
        name = local(child)
        if name == "s" or name == "tab":
            yield " "
        elif name == "line-break":
            yield "\n"
        elif name == "note":
            citation = child.find("{*}note-citation")
            yield f"[^{'' if citation is None else citation.text or ''}]"
        elif name == "a":
            yield _link(child)
        elif name not in ASIDE and name not in ("ruby-text", "annotation-end"):
            yield from _inline(child)
        yield _one_line(child.tail)


def _one_line(text: str | None) -> str:
    return (text or "").replace("\n", " ")


def _link(element: Any) -> str:
    text, target = "".join(_inline(element)), attribute(element, "href")
    if not text.strip() or target == text.strip() or not target.startswith(("http://", "https://", "mailto:")):
        return text
    return f"[{text.strip()}]({target})"


def _asides(paragraph: Any) -> Iterator[Any]:
    """Shapes, notes and comments within a paragraph, outermost ones only, in order."""
    waiting = list(reversed(paragraph))
    while waiting:
        each = waiting.pop()
        if local(each) in ASIDE:
            yield each
        else:
            waiting.extend(reversed(each))


def _comment(annotation: Any) -> Iterator[str]:
    said = {local(each): each.text or "" for each in annotation}
    words = " ".join(line_text(each) for each in annotation.iter("{*}p"))
    if line := comment_line(words, said.get("creator", ""), said.get("date", "")):
        yield line


def _in_comment(element: Any, top: Any) -> bool:
    while element is not None and element is not top:
        if local(element) == "annotation":
            return True
        element = element.getparent()
    return False
