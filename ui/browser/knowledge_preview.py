"""The text of a document as it was read, with its line numbers, page by page."""

from __future__ import annotations

import streamlit as st

from ui.browser import opened
from ui.browser.knowledge_rows import Row
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

LINES = 100
LONGEST = 1000
"""Characters of a line that are shown."""


def show_preview(kb_name: str, row: Row) -> None:
    """What Hearth read in a document."""
    st.subheader(plain(row.name))
    if row.status == "archive":
        st.caption(say("knowledge.preview_archive"))
        return
    with problems_shown():
        text = opened.knowledge_base(kb_name).store.text(row.source)
        pages = page_count(text)
        page = 1
        if pages > 1:
            page = int(
                st.number_input(
                    say("knowledge.preview_page", pages=pages), 1, pages, 1, key=f"knowledge-page-{row.source}"
                )
            )
        st.code(numbered(text, page), language=None, wrap_lines=True, height=420)


def page_count(text: str) -> int:
    """Pages of so many lines; one at least."""
    return max(1, -(-len(text.split("\n")) // LINES))


def numbered(text: str, page: int) -> str:
    """The lines of a page, from 1, each behind its number in the whole text. Very long lines are cut."""
    lines = text.split("\n")
    first = (page - 1) * LINES
    part = lines[first : first + LINES]
    width = len(str(first + len(part)))
    cut = (line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in part)
    return "\n".join(f"{number:>{width}}  {line}" for number, line in enumerate(cut, first + 1))
