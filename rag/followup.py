"""A question that leans on the conversation, made searchable: what was asked before is put in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from decoder.types import Message
from rag.words import content_words

_LEANS = re.compile(
    r"^\s*(?:and|but|or|also|what about|how about|why not|what else)\b"
    r"|\b(?:it|its|they|them|their|he|him|his|she|her|that|those|this|these|there|one)\b",
    re.I,
)


def standalone(question: str, history: Sequence[Message]) -> str:
    """`question` to search with; the user's last question joins it when it refers back or says almost nothing."""
    before = next((turn.text for turn in reversed(history) if turn.role == "user"), "")
    if before and (len(set(content_words(question))) < 2 or _LEANS.search(question)):
        return f"{before} {question}"
    return question
