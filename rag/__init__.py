"""What the decoder may know: load, chunk, embed, store, index, retrieve, answer, evaluate.

Every answer carries citations that were checked against the text; where nothing supports an answer, there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.knowledge import KnowledgeBase
    from rag.types import Answer, AnswerDelta, Citation, Document, Hit, IndexReport, Passage, Segment

__all__ = [
    "Answer",
    "AnswerDelta",
    "Citation",
    "Document",
    "Hit",
    "IndexReport",
    "KnowledgeBase",
    "Passage",
    "Segment",
]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first used, so that importing the room costs nothing (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module("rag.knowledge" if name == "KnowledgeBase" else "rag.types"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
