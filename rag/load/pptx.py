"""PPTX by slide, with lxml over its parts: titles, text, tables, charts, diagrams, notes and comments.

Nothing runs and nothing linked is opened: only parts of the archive are read.
"""

from __future__ import annotations

from typing import Any

from rag.load.budget import Budget
from rag.load.charts import chart_markdown
from rag.load.drawing import alternative, paragraphs, plain, shapes_of, table_rows
from rag.load.formats import Parsed
from rag.load.ooxml import Relation, comment_line, core_properties, main_part, related, relations
from rag.load.package import Package
from rag.load.safe_xml import attribute, local
from rag.load.tables import pipe_table

TITLES = ("title", "ctrTitle")
LEFT_OUT = ("dt", "ftr", "sldNum", "hdr", "sldImg")
"""Placeholders that say the same on every slide."""


def parse(data: bytes) -> Parsed:
    """One page a slide, in the order of the deck, hidden ones included, so that numbers are the deck's own."""
    archive, budget = Package(data), Budget()
    presentation = main_part(archive, "ppt/presentation.xml")
    parts = relations(archive, presentation)
    authors = _authors(archive, presentation)
    pages: list[str] = []
    titles: list[str] = []
    for listed in archive.xml(presentation).iterfind("{*}sldIdLst/{*}sldId"):  # sections list them once more
        relation = parts.get(_relation_id(listed))
        if relation is not None and not relation.external and relation.target in archive:
            title, page = _slide(archive, relation.target, len(pages) + 1, authors, budget)
        else:
            title, page = "", ""  # it keeps its number
        budget.spend(len(page))
        pages.append(page)
        titles.append(title)
    named, metadata = core_properties(archive)
    return Parsed(tuple(pages), named or next(filter(None, titles), ""), metadata)


def _relation_id(element: Any) -> str:
    """Its `r:id`; its plain `id` is another number."""
    return next((str(value) for key, value in element.attrib.items() if key.endswith("}id")), "")


def _slide(archive: Package, part: str, number: int, authors: dict[str, str], budget: Budget) -> tuple[str, str]:
    """A slide's title, and its text under a heading; a slide with nothing on it has no text."""
    root = archive.xml(part)
    links = relations(archive, part)
    title, blocks = "", []
    for shape in shapes_of(root):
        kind = _placeholder(shape)
        if kind in TITLES and not title:
            title = plain(shape)
        elif kind not in LEFT_OUT:
            blocks.append(_shape(archive, shape, kind, links, budget))
    for notes in related(archive, part, "notesSlide"):
        text = _notes(archive, notes)
        blocks.append(f"Notes: {text}" if text else "")
    for comments in related(archive, part, "comments"):
        blocks.extend(_comments(archive, comments, authors))
    blocks = [block for block in blocks if block]
    if not title and not blocks:
        return "", ""
    heading = f"## Slide {number}: {title}" if title else f"## Slide {number}"
    return title, "\n\n".join([heading, *blocks])


def _placeholder(shape: Any) -> str:
    """The kind of a placeholder ("body" where it does not say), empty for any other shape."""
    holder = shape.find("{*}nvSpPr/{*}nvPr/{*}ph")
    return "" if holder is None else str(holder.get("type", "body"))


def _shape(archive: Package, shape: Any, kind: str, links: dict[str, Relation], budget: Budget) -> str:
    name = local(shape)
    if name == "sp":
        return paragraphs(shape.find("{*}txBody"), links, listed=kind in ("body", "obj"))
    if name == "pic":
        return alternative(shape)
    if name != "graphicFrame":
        return ""
    if (table := next(shape.iter("{*}tbl"), None)) is not None:
        return pipe_table(table_rows(table), budget)
    for drawn in shape.iter("{*}chart", "{*}relIds"):
        relation = links.get(attribute(drawn, "id") or attribute(drawn, "dm"))
        if relation is None or relation.external or relation.target not in archive:
            continue
        if relation.kind == "chart":
            return chart_markdown(archive, relation.target, budget)
        points = (plain(point) for point in archive.xml(relation.target).iter("{*}pt"))
        return "\n".join(f"- {point}" for point in points if point)
    return ""


def _notes(archive: Package, part: str) -> str:
    """What the speaker wrote; the slide's picture, date and number stand on that page as well."""
    shapes = (shape for shape in shapes_of(archive.xml(part)) if _placeholder(shape) in ("body", ""))
    texts = (paragraphs(shape.find("{*}txBody"), {}, listed=False) for shape in shapes if local(shape) == "sp")
    return "\n\n".join(text for text in texts if text)


def _authors(archive: Package, presentation: str) -> dict[str, str]:
    """Who commented, by id."""
    lists = related(archive, presentation, "commentAuthors") + related(archive, presentation, "authors")
    each = (author for part in lists for author in archive.xml(part))
    return {author.get("id", ""): " ".join(author.get("name", "").split()) for author in each}


def _comments(archive: Package, part: str, authors: dict[str, str]) -> list[str]:
    """Comments and their answers, of both kinds that PowerPoint writes."""
    found: list[str] = []
    for comment in archive.xml(part).iter("{*}cm", "{*}reply"):
        body = comment.find("{*}text")
        body = comment.find("{*}txBody") if body is None else body
        text = "" if body is None else (plain(body) or " ".join((body.text or "").split()))
        date = attribute(comment, "dt", comment.get("created", ""))
        found.append(comment_line(text, authors.get(comment.get("authorId", ""), ""), date))
    return found
