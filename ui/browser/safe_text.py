"""Text that nobody vouches for, made safe for places that show Markdown: no HTML, no pictures, no odd links.

Streamlit shows Markdown with raw HTML off. Pictures in it would still be fetched from wherever they say, `:red[…]`
and `:material/…:` would be obeyed, and formulas set. `plain` shows a text letter by letter; `safe_markdown` keeps a
model's paragraphs, lists, code and tables, and links of allowed schemes.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """The text so that Markdown shows it letter by letter, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def safe_markdown(text: str) -> str:
    """A model's or a document's Markdown as Markdown that can do no harm."""
    return "\n\n".join(plain(block) for block in re.split(r"\n\s*\n", text))
