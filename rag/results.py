"""What came of one question put to a knowledge base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one question under one setting.

    Attributes:
        key: a hash of everything that the result depends on: question, setting, index, model.
        by: what was judged: passages, sources, answers, or nothing.
        wanted, ranks: each thing wanted and where it stood, None when it was not found.
        hits: the passages found: source, start, end and score.
        citations: of the answer, each with `right`.
        metrics: by name; None where a question has no such figure.
        timings: seconds: search (a search alone) and answer (an answer, its search included).
        error: why there is no answer; empty when there is one.
    """

    key: str
    setting: str
    options: Mapping[str, Any]
    id: str
    question: str
    by: str = ""
    wanted: Sequence[str] = ()
    ranks: Sequence[int | None] = ()
    hits: Sequence[Mapping[str, Any]] = ()
    answer: str = ""
    refused: bool = False
    generated: bool = False
    confidence: float = 0.0
    citations: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
