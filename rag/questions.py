"""Questions with what is expected of them: JSON lines, read strictly, because a misspelt field measures nothing.

    {"question": "When is the rent due?", "answers": ["the third"], "sources": ["lease.pdf"]}
    {"question": "Who won the cup?", "answerable": false}

Every row that cannot be used is an error that names its line and field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from decoder.errors import UsageError
from prompts.rows import lines
from rag.filters import Where
from rag.question_fields import STEP, BadQuestion, Span, parse_fields


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known of its answer; whatever is empty is not measured.

    Attributes:
        id: what results are told apart by; the line's number when the row has none.
        answers: accepted answers, any of them.
        sources: documents that answer it. A name means the document whose path ends in it.
        passages: the very places that answer it.
        relevant: documents by how well they answer it, a whole number above 0.
        answerable: False when the documents do not tell, so that a refusal is right.
        where: what the search may see.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    passages: tuple[Span, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict, hash=False)
    answerable: bool = True
    where: Where = field(default_factory=Where)


@dataclass(frozen=True, slots=True)
class Questions:
    """What was read: the questions in order, and the rows that were left out."""

    questions: tuple[Question, ...]
    bad: tuple[BadQuestion, ...] = ()


def read_questions(path: Path, skip_bad: bool = False, limit: int | None = None) -> Questions:
    """The questions of a file in UTF-8, one JSON object a line; empty lines are passed over.

    Args:
        skip_bad: list rows that cannot be used instead of stopping at the first.
        limit: read this many questions at most.

    Raises:
        BadQuestion: a row cannot be used.
        UsageError: the file cannot be read, or holds no question.
    """
    found: dict[str, Question] = {}
    bad: list[BadQuestion] = []
    for number, line in lines(path, STEP):
        if limit is not None and len(found) >= limit:
            break
        try:
            question = parse_question(line, number)
            if question.id in found:
                raise BadQuestion(number, "id", f"{question.id!r} stands in an earlier row", "Give each its own")
            found[question.id] = question
        except BadQuestion as error:
            if not skip_bad:
                raise
            bad.append(error)
    if not found:
        raise UsageError(STEP, f"{path} holds no question", 'Write one a line: {"question": "…", "answers": ["…"]}')
    return Questions(tuple(found.values()), tuple(bad))


def parse_question(line: bytes, number: int) -> Question:
    """The question in one line; raises BadQuestion."""
    row = parse_fields(line, number)
    question = row.text("question")
    relevant, answerable = row.grades("relevant"), row.flag("answerable")
    found = Question(
        id=row.name("id") or str(number),
        question=question,
        answers=row.texts("answers"),
        sources=row.texts("sources"),
        passages=row.spans("passages"),
        relevant=relevant,
        answerable=answerable,
        where=row.where("where"),
    )
    told = [name for name in ("answers", "sources", "passages", "relevant") if getattr(found, name)]
    if told and not answerable:
        raise BadQuestion(number, "answerable", f"it is false, and yet there are {told[0]}", "Leave out one of the two")
    return found
