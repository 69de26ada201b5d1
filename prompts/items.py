"""What a prompt is measured on: rows of values with the right answer, read strictly.

    {"question": "How many eggs are left?", "answer": 7}
    {"id": "tea", "text": "Tea was served.", "tone": "plain", "answers": ["served", "poured"]}
    {"variables": {"question": "…", "answer": "a variable of the prompt"}, "answer": "yes"}

Every field but `id`, `answer` and `answers` is a value for a variable of the prompt. A `question` that the prompt has
no variable for goes to the one variable that it requires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import UsageError
from prompts.errors import PromptError
from prompts.extract import Extractor, as_text
from prompts.extract_found import Found
from prompts.rows import BadRow, lines, parse_object
from prompts.template import Prompt

RESERVED = ("id", "answer", "answers", "variables")
EXAMPLE = '{"question": "…", "answer": "…"}'


@dataclass(frozen=True, slots=True)
class Item:
    """One row.

    Attributes:
        id: what results are told apart by; the line's number when the row has none.
        values: for the variables of the prompts, by the row's names.
        answers: the right answers as written, any of them.
        right: the same as they are compared.
    """

    id: str
    values: Mapping[str, Any]
    answers: tuple[str, ...]
    right: tuple[Found, ...]

    def values_for(self, prompt: Prompt) -> dict[str, Any]:
        """The values that this prompt takes."""
        names = {variable.name for variable in prompt.variables}
        known = {name: value for name, value in self.values.items() if name in names}
        needed = [variable.name for variable in prompt.variables if variable.required and variable.name not in known]
        if "question" not in names and "question" in self.values and len(needed) == 1:
            known[needed[0]] = self.values["question"]
        return known


@dataclass(frozen=True, slots=True)
class Items:
    """What was read: the items in order, and the rows that were left out."""

    items: tuple[Item, ...]
    bad: tuple[BadRow, ...] = ()


def read_items(
    path: Path, prompts: Sequence[Prompt], extractor: Extractor, skip_bad: bool = False, limit: int | None = None
) -> Items:
    """The items of a file in UTF-8, one JSON object a line; empty lines are passed over.

    Args:
        prompts: that are measured on them; every row has to fit each.
        extractor: reads the right answers.
        skip_bad: list rows that cannot be used instead of stopping at the first.
        limit: read this many at most.

    Raises:
        BadRow: a row cannot be used.
        UsageError: the file cannot be read, or holds no item.
    """
    found: dict[str, Item] = {}
    bad: list[BadRow] = []
    for number, line in lines(path, BadRow.reading):
        if limit is not None and len(found) >= limit:
            break
        try:
            item = parse_item(line, number, prompts, extractor)
            if item.id in found:
                raise BadRow(number, "id", f"{item.id!r} stands in an earlier row", "Give each its own")
            found[item.id] = item
        except BadRow as error:
            if not skip_bad:
                raise
            bad.append(error)
    if not found:
        raise UsageError(BadRow.reading, f"{path} holds no row that can be used", f"Write one a line: {EXAMPLE}")
    return Items(tuple(found.values()), tuple(bad))


def parse_item(line: bytes, number: int, prompts: Sequence[Prompt], extractor: Extractor) -> Item:
    """The item in one line; raises BadRow."""
    row = parse_object(line, number, BadRow, EXAMPLE)
    answers = _answers(row, number)
    right = tuple(_right(answer, number, extractor) for answer in answers)
    item = Item(_id(row, number), _values(row, number), answers, right)
    _check_names(item, number, prompts)
    for prompt in prompts:
        try:
            prompt.render(**item.values_for(prompt))
        except PromptError as error:
            raise BadRow(
                number, "", f"{prompt.name} cannot be rendered with it: {error.cause}", error.remedy
            ) from error
    return item


def _id(row: Mapping[str, Any], number: int) -> str:
    value = row.get("id")
    if value is None:
        return str(number)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not 0 < len(str(value)) <= 200:
        raise BadRow(number, "id", "it is neither a whole number nor a text of 1 to 200 characters")
    return str(value)


def _answers(row: Mapping[str, Any], number: int) -> tuple[str, ...]:
    if "answer" in row and "answers" in row:
        raise BadRow(number, "answers", "there is an answer too", "Leave out one of the two")
    field = "answers" if "answers" in row else "answer"
    given = row.get(field)
    if given is None:
        raise BadRow(number, "answer", "it is missing", f"Write {EXAMPLE}")
    if field == "answers" and not isinstance(given, list):
        raise BadRow(number, field, "it is no list", "Write [ … ] around it")
    answers = [as_text(value) for value in (given if field == "answers" else [given])]
    if not answers or not all(answer.strip() for answer in answers):
        raise BadRow(number, field, "it is empty")
    return tuple(dict.fromkeys(answers))


def _right(answer: str, number: int, extractor: Extractor) -> Found:
    found = extractor.read(answer)
    if found is None:
        cause = f"no {extractor.kind} can be read in {answer[:60]!r}"
        raise BadRow(number, "answer", cause, "Mend it, or choose another kind of answer")
    return found


def _values(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    beside = {name: value for name, value in row.items() if name not in RESERVED}
    nested = row.get("variables")
    if nested is None:
        return beside
    if not isinstance(nested, dict):
        raise BadRow(number, "variables", "it is no object", 'Write {"variables": {"question": "…"}, "answer": "…"}')
    if beside:
        name = next(iter(beside))
        raise BadRow(number, name, "it stands beside `variables`", "Put it among them")
    return dict(nested)


def _check_names(item: Item, number: int, prompts: Sequence[Prompt]) -> None:
    """A misspelt name measures nothing, so a value that no prompt takes is an error."""
    taken = {variable.name for prompt in prompts for variable in prompt.variables}
    for name in item.values:
        if name not in taken and not (name == "question" and any(_only_one(item, prompt) for prompt in prompts)):
            raise BadRow(number, name[:40], "no variable of this name", f"Known: {', '.join(sorted(taken)) or 'none'}")


def _only_one(item: Item, prompt: Prompt) -> bool:
    """Whether the item's question goes to a variable of another name."""
    return item.values.get("question") in item.values_for(prompt).values()
