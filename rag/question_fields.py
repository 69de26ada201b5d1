"""The fields of one row of questions, each checked for its kind: what cannot be used is a BadQuestion."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decoder.errors import UsageError
from prompts.rows import BadRow, parse_object
from rag.filters import Where, parse_where, where

STEP = "reading questions"
FIELDS = ("id", "question", "answers", "sources", "passages", "relevant", "answerable", "where")
HIGHEST_GRADE = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document's text that answers a question: characters from `start` to `end`, end exclusive."""

    source: str
    start: int
    end: int


class BadQuestion(BadRow):
    """A row of questions that cannot be used; its line, from 1, and the field at fault."""

    reading = STEP


@dataclass(frozen=True, slots=True)
class Fields:
    """Typed access to a row; null is as good as absent. Every method raises BadQuestion."""

    row: Mapping[str, Any]
    line: int

    def bad(self, field: str, reason: str, remedy: str = "") -> BadQuestion:
        """The error for a field."""
        return BadQuestion(self.line, field, reason, remedy)

    def text(self, field: str) -> str:
        """A text that must be there."""
        value = self.row.get(field)
        if not isinstance(value, str) or not value.strip():
            raise self.bad(field, "it is missing" if value is None else "it is no text, or an empty one")
        return self._whole(field, value)

    def _whole(self, field: str, value: str) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise self.bad(field, "it holds half of a character (a lone surrogate)", "Save the file as UTF-8")
        return value

    def name(self, field: str) -> str:
        """A short text or a whole number; empty when absent."""
        value = self.row.get(field)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not 0 < len(str(value)) <= 200:
            raise self.bad(field, "it is neither a whole number nor a text of 1 to 200 characters")
        return str(value)

    def items(self, field: str) -> list[Any]:
        """A list."""
        value = self.row.get(field)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(field, "it is no list", "Write [ … ] around it")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """Texts, each once."""
        values = self.items(field)
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise self.bad(field, "it holds something other than texts, or an empty one")
        return tuple(dict.fromkeys(self._whole(field, value) for value in values))

    def spans(self, field: str) -> tuple[Span, ...]:
        """Places in documents."""
        return tuple(dict.fromkeys(self._span(field, value) for value in self.items(field)))

    def _span(self, field: str, value: Any) -> Span:
        if not isinstance(value, dict) or set(value) != {"source", "start", "end"}:
            raise self.bad(field, "an item is not an object of source, start and end")
        source, start, end = value["source"], value["start"], value["end"]
        if not isinstance(source, str) or not source.strip():
            raise self.bad(field, "a source is no text, or an empty one")
        if type(start) is not int or type(end) is not int or not 0 <= start < end:
            raise self.bad(field, "start and end are not whole numbers with 0 <= start < end")
        return Span(source, start, end)

    def grades(self, field: str) -> Mapping[str, int]:
        """Documents with how well they answer; those of 0 are left out."""
        value = self.row.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(type(g) is int and 0 <= g <= HIGHEST_GRADE for g in value.values()):
            raise self.bad(field, f"it does not map documents to whole numbers from 0 to {HIGHEST_GRADE}")
        if not all(name.strip() for name in value):
            raise self.bad(field, "a document has no name")
        return {name: grade for name, grade in value.items() if grade > 0}

    def flag(self, field: str) -> bool:
        """True unless it says false."""
        value = self.row.get(field)
        if value is not None and not isinstance(value, bool):
            raise self.bad(field, "it is neither true nor false")
        return value is not False

    def where(self, field: str) -> Where:
        """An object of values, or a list of conditions such as "year>=2020"."""
        value = self.row.get(field)
        if value is None:
            return Where()
        try:
            if isinstance(value, list) and all(isinstance(text, str) for text in value):
                return parse_where(value)
            if isinstance(value, dict):
                kinds = (str, int, float, bool)
                for each in value.values():
                    if not isinstance(each, kinds) and not (
                        isinstance(each, list) and each and all(isinstance(item, kinds) for item in each)
                    ):
                        raise self.bad(field, "a value is no text, number, truth value or list of these")
                return where(value)
        except BadQuestion:
            raise
        except UsageError as error:
            raise self.bad(field, error.cause, error.remedy) from error
        raise self.bad(field, "it is neither an object nor a list of conditions", 'Write {"author": "Ann"}')


def parse_fields(line: bytes, number: int) -> Fields:
    """The object in one line; raises BadQuestion when it is none or has a field that nobody reads."""
    row = parse_object(line, number, BadQuestion, '{"question": "…"}')
    for name in row:
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, 1)
            raise BadQuestion(number, name[:40], "no such field", f"Known: {', '.join(near or FIELDS)}")
    return Fields(row, number)
