"""ODP by slide: titles, text, lists, tables and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.odf import body_of, odf_properties, open_odf, styles_of
from rag.load.odf_text import Context, blocks, plain
from rag.load.safe_xml import attribute, local

LEFT_OUT = ("header", "footer", "date-time", "page-number", "page")
"""Placeholders that say the same on every slide, and the picture of the slide on its page of notes."""


def parse(data: bytes) -> Parsed:
    """One page a slide, in the order of the deck, hidden ones included, so that numbers are the deck's own."""
    archive = open_odf(data)
    content = archive.xml("content.xml")
    context = Context(styles_of(archive, content), Budget(), headings=False)
    slides = body_of(content, "presentation").iterfind("{*}page")
    pages = [_slide(slide, number, context) for number, slide in enumerate(slides, 1)]
    title, metadata = odf_properties(archive)
    first = next((heading for heading, _ in pages if heading), "")
    return Parsed(tuple(text for _, text in pages), title or first, metadata)


def _slide(slide: Any, number: int, context: Context) -> tuple[str, str]:
    """A slide's title, and its text under a heading; a slide with nothing on it has no text."""
    title, found = "", []
    for shape in slide:
        kind = attribute(shape, "class")
        if kind == "title" and not title:
            title = plain(shape)
        elif local(shape) == "notes":
            found += [f"Notes: {text}" for text in _notes(shape, context)]
        elif kind not in LEFT_OUT:
            found += blocks([shape], context)
    if not title and not found:
        return "", ""
    heading = f"## Slide {number}: {title}" if title else f"## Slide {number}"
    return title, "\n\n".join([heading, *found])


def _notes(notes: Any, context: Context) -> Iterator[str]:
    written = [shape for shape in notes if attribute(shape, "class") not in LEFT_OUT]
    if text := "\n\n".join(blocks(written, context)):
        yield text
