"""Public text beside the tasks: paragraphs of books and worked school problems, from files that the user has.

Books are one JSON object a line with `title` and `text` (.xz), in the public domain; problems are GSM8K's training
split (Cobbe et al. 2021, MIT): `question` and `answer` with calculator marks, which are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

from alignment.data_files import read_text_file
from alignment.data_report import STEP as READING
from alignment.errors import DataError
from alignment.tiny.rows import STEPS, text, turns

_MARKS = re.compile(r"<<[^>]*>>")
SHORTEST, LONGEST = 200, 900
"""Characters of a paragraph that is used."""


def paragraphs(path: Path, random: Random, count: int) -> list[dict[str, str]]:
    """Rows of text, drawn from all books."""
    found = [
        paragraph
        for (book,) in _texts(path, "text")
        for paragraph in re.split(r"\r?\n\r?\n", book)
        if SHORTEST <= len(paragraph) <= LONGEST and not paragraph.startswith("#")
    ]
    return [{"text": " ".join(each.split())} for each in random.sample(found, min(count, len(found)))]


def school_problems(path: Path, random: Random, count: int) -> list[dict[str, str]]:
    """Rows of text: conversations of a problem and its solution."""
    rows = [(question, _solution(answer)) for question, answer in _texts(path, "question", "answer")]
    return [text(turns(*each, system=STEPS)) for each in random.sample(rows, min(count, len(rows)))]


def _solution(answer: str) -> str:
    steps, _, result = _MARKS.sub("", answer).rpartition("#### ")
    return f"{steps.strip()}\nAnswer: {result.strip()}"


def _texts(path: Path, *fields: str) -> Iterator[tuple[str, ...]]:
    """These fields of every row. Raises DataError for a row that lacks one, or a file that cannot be read."""
    for raw in read_text_file(path, ".jsonl"):
        values = [(raw.row or {}).get(field) for field in fields]
        if not all(isinstance(value, str) for value in values):
            cause = f"{path}, line {raw.line}: {raw.reason or 'a field that is needed is no text'}"
            raise DataError(READING, cause, f"Each row has {' and '.join(fields)}")
        yield tuple(map(str, values))
