"""Public text beside the tasks: paragraphs of books and worked school problems, from files that the user has.

Books are one JSON object a line with `title` and `text` (.xz), in the public domain; problems are GSM8K's training
split (Cobbe et al. 2021, MIT): `question` and `answer` with calculator marks, which are taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import IO, Any

from alignment.tiny.rows import STEPS, text, turns

_MARKS = re.compile(r"<<[^>]*>>")
SHORTEST, LONGEST = 200, 900
"""Characters of a paragraph that is used."""


def paragraphs(path: Path, random: Random, count: int) -> list[dict[str, str]]:
    """Rows of text, drawn from all books."""
    found = [
        paragraph
        for book in _lines(path)
        for paragraph in re.split(r"\r?\n\r?\n", book["text"])
        if SHORTEST <= len(paragraph) <= LONGEST and not paragraph.startswith("#")
    ]
    return [{"text": " ".join(each.split())} for each in random.sample(found, min(count, len(found)))]


def school_problems(path: Path, random: Random, count: int) -> list[dict[str, str]]:
    """Rows of text: conversations of a problem and its solution."""
    rows = [(row["question"], _solution(row["answer"])) for row in _lines(path)]
    return [text(turns(*each, system=STEPS)) for each in random.sample(rows, min(count, len(rows)))]


def _solution(answer: str) -> str:
    steps, _, result = _MARKS.sub("", answer).rpartition("#### ")
    return f"{steps.strip()}\nAnswer: {result.strip()}"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        for line in file:
            yield json.loads(line)


def _opened(path: Path) -> IO[str]:
    import gzip
    import lzma

    opener: Any = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    opened: IO[str] = opener(path, "rt", encoding="utf-8")
    return opened
