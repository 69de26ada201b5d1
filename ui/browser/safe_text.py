"""Text that nobody vouches for, made safe for places that show Markdown: no HTML, no pictures, no odd links.

Streamlit shows Markdown with raw HTML off. Pictures in it would still be fetched from wherever they say, `:red[…]`
and `:material/…:` would be obeyed, formulas set, diagrams drawn. `plain` shows a text letter by letter;
`safe_markdown` keeps a model's paragraphs, lists, code and tables, and links of allowed schemes.

Both take any text, raise nothing, and take time in proportion to its length. `st.write_stream` mends unfinished
Markdown in the browser and so must not be given their results; `st.markdown`, called again as text comes, may.
"""

from __future__ import annotations

from functools import lru_cache

from ui.browser.safe_blocks import written
from ui.browser.safe_letters import letters, neutral

LONGEST_READ, MOST_LINES = 16_000, 2_000
"""Characters and lines that are read as Markdown; what follows is shown letter by letter."""


def plain(text: str) -> str:
    """The text so that Markdown shows it letter by letter, on one line."""
    return letters(" ".join(neutral(text).split()))


@lru_cache(maxsize=512)
def safe_markdown(text: str) -> str:
    """A model's or a document's Markdown as Markdown that can do no harm.

    It is read as CommonMark with tables and strikethrough, and written anew. Headings come out at level 4 or below,
    HTML as text, a picture as its description and address, a link only to http, https or mailto; one whose words look
    like another address is followed by the true one.
    """
    clean = neutral(text)
    head = _head(clean)
    rest = (" ".join(line.split()) for line in letters(clean[len(head) :]).split("\n"))
    return "\n\n".join(block for block in (written(head), *rest) if block)


def _head(text: str) -> str:
    """Whole lines of the beginning, as many as are read."""
    head = text[:LONGEST_READ]
    if len(head) < len(text) and "\n" in head:
        head = head[: head.rindex("\n") + 1]
    return "".join(head.splitlines(keepends=True)[:MOST_LINES])
