"""Search small, answer with the parent: hits of one wider stretch become that stretch.

A passage knows the stretch that it was cut from (`rag.chunk_parents`). Where enough of it was found, the reader gets
all of it, once, in the place of its best hit. Every hit's text is in some result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rag.structure import Span
from rag.types import Hit, Passage


@dataclass(frozen=True, slots=True)
class Parents:
    """When hits are merged: `least` of one stretch were found, or together they cover `share` of it."""

    least: int = 2
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.least < 1 or not 0 < self.share <= 1:
            raise ValueError(f"least={self.least} must be at least 1, share={self.share} in (0, 1]")


def merge(hits: Sequence[Hit], text: Callable[[str], str], parents: Parents, limit: int | None = None) -> list[Hit]:
    """The hits with parents in place of their parts; as long as `hits` offers more, `limit` of them.

    A parent keeps its best part's id, scores, page and headings. What stands inside a parent is left out.

    Args:
        text: a document's text by its source.
    """
    first = list(hits if limit is None else hits[:limit])
    found: dict[tuple[str, Span], list[Hit]] = {}
    for hit in first:
        if hit.passage.parent_end > hit.passage.parent_start:
            found.setdefault(_parent(hit.passage), []).append(hit)
    merged = {key: whole for key, parts in found.items() if (whole := _merged(key, parts, text, parents))}
    results: list[Hit] = []
    for hit in hits:
        whole = merged.pop(_parent(hit.passage), None)
        shown = hit if whole is None else replace(hit, passage=whole)
        if not any(_holds(result.passage, hit.passage) for result in results):
            results.append(shown)
    return results if limit is None else results[:limit]


def _parent(passage: Passage) -> tuple[str, Span]:
    return passage.source, (passage.parent_start, passage.parent_end)


def _merged(
    key: tuple[str, Span], parts: Sequence[Hit], text: Callable[[str], str], parents: Parents
) -> Passage | None:
    """The parent as a passage, when enough of it was found and the text is the one that its parts were cut from."""
    source, (start, end) = key
    if len(parts) < parents.least and _covered([hit.passage for hit in parts]) < parents.share * (end - start):
        return None
    whole = text(source)
    if any(whole[hit.passage.start : hit.passage.end] != hit.passage.text for hit in parts):
        return None
    return widened(parts[0].passage, whole, start, end)


def widened(passage: Passage, whole: str, start: int, end: int) -> Passage:
    """The passage with the text of `whole[start:end]`, which holds it, and the lines where that stands."""
    context = passage.context if passage.context and passage.context not in whole[start:end] else ""
    first = passage.line_start - whole.count("\n", start, passage.start)
    return replace(
        passage,
        text=whole[start:end],
        start=start,
        end=end,
        line_start=first,
        line_end=first + whole.count("\n", start, end),
        context=context,
    )


def _covered(passages: Sequence[Passage]) -> int:
    """Characters that the passages hold together, each counted once."""
    total = reached = 0
    for passage in sorted(passages, key=lambda p: p.start):
        total += max(0, passage.end - max(passage.start, reached))
        reached = max(reached, passage.end)
    return total


def _holds(wide: Passage, narrow: Passage) -> bool:
    return wide.source == narrow.source and wide.start <= narrow.start and narrow.end <= wide.end
