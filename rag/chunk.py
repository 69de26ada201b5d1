"""Cut a document into passages: bounded in tokens, exact in offsets, with page and heading path.

What a document is decides how it is cut: source code by its syntax, records one by one, everything else by its
pages, headings, fences and tables and in them by sentences.
"""

from __future__ import annotations

import bisect
import re
import uuid
from collections.abc import Callable, Iterator

from rag.chunk_code import RECORDS, CodeCutter, language_of
from rag.chunk_parents import parents
from rag.chunk_text import TextCutter
from rag.structure import Cut, Span, sections
from rag.types import Document, Passage

NAMESPACE = uuid.UUID("6b1f9a52-8c0e-5f7a-9a54-7e1d1f0c2a11")
LEAST_TOKENS = 8
"""One character may be several tokens; a smaller bound could not be kept."""
PARENT_TOKENS = 720
"""Three passages and more: enough to read around what was found."""
Count = Callable[[str], int]
_ESTIMATE = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,2}|[^\sA-Za-z0-9]")


def estimate_tokens(text: str) -> int:
    """About as many tokens as a WordPiece vocabulary makes, rather more than fewer; no model needed."""
    return sum(1 for _ in _ESTIMATE.finditer(text))


def chunk(
    document: Document,
    max_tokens: int = 220,
    overlap: int = 0,
    count: Count = estimate_tokens,
    parent_tokens: int = PARENT_TOKENS,
) -> list[Passage]:
    """Cut a document into passages, in order of their place in the text.

    Every character that is not white space is in some passage. No passage crosses a page or a heading, and none
    ends inside a code fence or a table that would fit. Source code (media type text/x-…) is cut by its syntax.

    Args:
        max_tokens: most tokens of a passage by `count`, at least 8. A single character with more stands alone.
        overlap: most tokens of whole sentences that a passage repeats from the one before it in its section.
        count: the embedder's tokenizer as a function from text to number of tokens.
        parent_tokens: most tokens, estimated, of the wider stretch that a passage knows; 0 for none.

    Raises:
        ValueError: `max_tokens` is below 8, or `overlap` is not between 0 and half of it.
    """
    if max_tokens < LEAST_TOKENS or not 0 <= overlap <= max_tokens // 2:
        raise ValueError(
            f"max_tokens={max_tokens} must be at least {LEAST_TOKENS}, overlap={overlap} at most half of it"
        )
    cutter = TextCutter(document.text, max_tokens, overlap, count)
    line_ends = [match.start() for match in re.finditer("\n", document.text)]
    return [
        _passage(document, cut, parent, line_ends)
        for cuts in _cuts(document, cutter)
        for cut, parent in zip(cuts, parents(document.text, cuts, parent_tokens, estimate_tokens), strict=True)
    ]


def _cuts(document: Document, cutter: TextCutter) -> Iterator[list[Cut]]:
    """The cuts of each section; source code is one."""
    language = language_of(document)
    if language is not None or document.media_type in RECORDS:
        yield list(CodeCutter(cutter, records=language is None).cut(language or ""))
        return
    for section in sections(document):
        yield list(cutter.cut(section))


def _passage(document: Document, cut: Cut, parent: Span, line_ends: list[int]) -> Passage:
    start, end = cut.start, cut.end
    return Passage(
        id=str(uuid.uuid5(NAMESPACE, f"{document.source}|{document.content_hash}|{start}|{end}")),
        text=document.text[start:end],
        source=document.source,
        title=document.title,
        start=start,
        end=end,
        line_start=bisect.bisect_left(line_ends, start) + 1,
        line_end=bisect.bisect_left(line_ends, end) + 1,
        page=cut.page,
        heading=cut.heading,
        content_hash=document.content_hash,
        context=cut.context,
        parent_start=parent[0],
        parent_end=parent[1],
        media_type=document.media_type,
        metadata=document.metadata,
    )
