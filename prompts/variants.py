"""Prompts held against each other on the same questions: which prompt, by which technique, how often asked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from decoder.errors import UsageError
from prompts.evaluate import Way
from prompts.items import Item, Items
from prompts.template import Prompt
from prompts.turns import Turn, names
from prompts.variables import Example

Technique: TypeAlias = Literal["plain", "chain of thought", "few-shot"]
TECHNIQUES: tuple[Technique, ...] = get_args(Technique)
SHOTS = 3
"""Questions that few-shot shows as examples; then no variant is asked them."""
ARITHMETIC = Path(__file__).parent / "examples_arithmetic.jsonl"
"""Twelve questions with their answers, to try things with."""
STEP = "reading data"


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the prompts that are compared.

    Attributes:
        label: what it is called in the comparison.
        prompt: with its technique in it.
        way: how it is put to the decoder and read.
    """

    label: str
    prompt: Prompt
    way: Way


def with_technique(prompt: Prompt, technique: Technique, shown: Sequence[Item] = ()) -> Prompt:
    """The prompt as the technique has it.

    Args:
        shown: the solved questions of few-shot.

    Raises:
        UsageError: there is no such technique; TechniqueError, that it does not fit the prompt.
    """
    from prompts.techniques import chain_of_thought, few_shot

    if technique == "plain":
        return prompt
    if technique == "chain of thought":
        return chain_of_thought(prompt)
    if technique == "few-shot":
        return few_shot(prompt, [_example(prompt, item) for item in shown])
    raise UsageError("choosing a technique", f"{technique!r} is none", f"Known: {', '.join(TECHNIQUES)}")


def split(read: Items, techniques: Sequence[str]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """The questions that few-shot shows, and those that every variant is asked. Raises UsageError for too few."""
    shots = SHOTS if "few-shot" in techniques else 0
    if len(read.items) <= shots:
        cause = f"few-shot shows {shots} questions, and there are {len(read.items)}"
        raise UsageError(STEP, cause, "Give more questions, or leave few-shot out")
    return read.items[:shots], read.items[shots:]


def rows_of_csv(text: str) -> str:
    """CSV with a line of heads as JSON lines; an empty cell is no value. Raises UsageError."""
    try:
        reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
        heads = [head.strip() for head in next(reader, [])]
        if not any(head in ("answer", "answers") for head in heads) or len(set(heads)) < len(heads):
            raise UsageError(STEP, "its first line does not name the columns", "Begin with a line: question,answer")
        return "".join(_line(heads, cells, reader.line_num) for cells in reader if any(map(str.strip, cells)))
    except csv.Error as error:
        raise UsageError(STEP, f"it is no CSV ({error})", "Save it as CSV with commas, in UTF-8") from error


def _line(heads: Sequence[str], cells: Sequence[str], number: int) -> str:
    if len(cells) > len(heads):
        raise UsageError(STEP, f"line {number} has more cells than there are columns", "Put quotes round commas")
    row: Mapping[str, Any] = {head: cell for head, cell in zip(heads, cells, strict=False) if cell.strip()}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _example(prompt: Prompt, item: Item) -> Example:
    """A question as an example, with the values that the prompt's last user turn uses."""
    turns = [part for part in prompt.messages if isinstance(part, Turn) and part.role == "user" and not part.literal]
    used = names(turns[-1]) if turns else frozenset()
    values = {name: value for name, value in item.values_for(prompt).items() if name in used}
    return Example(values, f"Answer: {item.answers[0]}")
