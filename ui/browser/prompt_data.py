"""The questions of a comparison: the twelve that come along, or a file of a person's own, checked before it is used."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import UsageError

if TYPE_CHECKING:
    from prompts.items import Item
    from prompts.template import Prompt

MOST_BYTES = 2**20
STEP = "reading questions"


def example_rows() -> str:
    """The twelve arithmetic questions as JSON lines."""
    from prompts.variants import ARITHMETIC

    return ARITHMETIC.read_text(encoding="utf-8")


def rows_of(name: str, data: bytes) -> str:
    """An uploaded file as JSON lines; its ending says whether it is CSV. Raises UsageError."""
    from prompts.variants import rows_of_csv

    if len(data) > MOST_BYTES:
        raise UsageError(STEP, f"the file is larger than {MOST_BYTES // 2**20} MB", "Give fewer questions")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(STEP, "the file is not UTF-8", "Save it as UTF-8") from error
    return rows_of_csv(text) if name.lower().endswith(".csv") else text


def checked(rows: str, prompts: Sequence[Prompt], answer: str) -> tuple[Item, ...]:
    """The questions, which fit every prompt. Raises UsageError, BadRow with the line."""
    from prompts.extract import extractor
    from prompts.items import read_items

    with tempfile.TemporaryDirectory(prefix="hearth-questions-") as folder:
        file = Path(folder) / "questions.jsonl"
        file.write_text(rows, encoding="utf-8")
        return read_items(file, prompts, extractor(answer)).items
