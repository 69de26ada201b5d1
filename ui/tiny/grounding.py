"""Answers from passages: the span, its citation, and abstaining where the passages do not tell; SQuAD's too."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from alignment.tiny.facts import Grounded
from decoder.errors import UsageError
from prompts.extract_text import normalized
from prompts.folders import load
from prompts.grounded import REFUSAL
from ui.tiny.data import Row, seeded
from ui.tiny.evaluated import evaluated, failures, written
from ui.tiny.held_out import MOST_PASSAGES, grounded_rows
from ui.tiny.scores import Measure, Tell, chosen, scores

if TYPE_CHECKING:
    from decoder.base import Decoder

_CITATION = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says: the span, in lower case, the passages that it cites, or that they do not tell."""

    span: str = ""
    cited: frozenset[int] = frozenset()
    abstained: bool = False


def told(output: str) -> Told:
    """Reads an answer in either form of `alignment.tiny.grounding`: the span first, or after `the answer is`."""
    text = output.strip()
    if text.rstrip(".") == REFUSAL.rstrip("."):
        return Told(abstained=True)
    said = text.rpartition("the answer is ")[2]
    span = _CITATION.split(said, maxsplit=1)[0].strip().rstrip(".")
    return Told(span.casefold(), frozenset(int(number) for number in _CITATION.findall(said)))


def grounding(decoder: Decoder, cases: Sequence[Grounded], tell: Tell) -> Measure:
    """Held-out questions on one to five passages."""
    started = perf_counter()
    asked = evaluated(decoder, load("grounded-answer"), grounded_rows(cases), "text", tell)
    found = [told(row.output) for row in asked.rows]
    answered = [case.answered for case in cases]
    spans = [each.span == case.span.casefold() for each, case in zip(found, cases, strict=True)]
    cited = [each.cited == {case.passage} for each, case in zip(found, cases, strict=True)]
    abstained = [each.abstained for each in found]
    both = [span and citation for span, citation in zip(spans, cited, strict=True)]
    right = [(b if a else c) for a, b, c in zip(answered, both, abstained, strict=True)]
    unanswered = [not each for each in answered]
    judged = {
        "right": right,
        "span and citation": chosen(both, answered),
        "span": chosen(spans, answered),
        "citation": chosen(cited, answered),
        "abstained where it should": chosen(abstained, unanswered),
        "abstained where it should not": chosen(abstained, answered),
        **{f"right, {_passages(count)}": _of(right, cases, count) for count in range(1, MOST_PASSAGES + 1)},
    }
    return Measure("grounded", scores(judged), (), written(asked), perf_counter() - started, failures(grounded=asked))


def _passages(count: int) -> str:
    return "1 passage" if count == 1 else f"{count} passages"


def _of(right: Sequence[bool], cases: Sequence[Grounded], count: int) -> list[bool]:
    return chosen(right, [len(case.passages) == count for case in cases])


def squad(decoder: Decoder, file: Path, count: int, seed: int, tell: Tell) -> Measure:
    """Questions of SQuAD 1.1, each with its paragraph. All have an answer there, in words that training never held."""
    started = perf_counter()
    rows = squad_rows(file, count, seed)
    asked = evaluated(decoder, load("grounded-answer"), rows, "text", tell)
    found = [told(row.output) for row in asked.rows]
    judged = {
        "span": [
            normalized(each.span) in map(normalized, row["answers"]) for each, row in zip(found, rows, strict=True)
        ],
        "span within the answer": [_within(each, row) for each, row in zip(found, rows, strict=True)],
        "abstained": [each.abstained for each in found],
    }
    return Measure("squad", scores(judged), (), written(asked), perf_counter() - started, failures(squad=asked))


def squad_rows(file: Path, count: int, seed: int) -> list[Row]:
    """Rows for `grounded-answer`. Raises UsageError for a file that is not SQuAD's."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        paragraphs = [each for article in read["data"] for each in article["paragraphs"]]
        rows = [
            {"id": q["id"], "question": q["question"], "passages": [{"text": each["context"], "label": "article"}],
             "answers": [answer["text"] for answer in q["answers"]]}
            for each in paragraphs
            for q in each["qas"]
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("reading SQuAD", f"{file} is not SQuAD 1.1: {error!r}", "Give its JSON file") from error
    return seeded(seed, "squad").sample(rows, min(count, len(rows)))


def _within(told: Told, row: Row) -> bool:
    return any(normalized(answer) in normalized(told.span) for answer in row["answers"])
