"""Find the answer in what a model wrote, in a form in which equal answers are equal: the door to `extract_*.py`.

An extractor first looks where an answer is announced (`\\boxed{…}`, `#### 42`, "The answer is …"), from the last
announcement back, because a later one corrects an earlier; then anywhere that its kind allows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from decoder.errors import UsageError
from prompts import extract_choice, extract_date, extract_json, extract_number, extract_text
from prompts.extract_found import Found, Seek, equal_keys
from prompts.extract_place import find

KINDS = ("number", "choice", "yesno", "date", "json", "text", "regex")


@dataclass(frozen=True, slots=True)
class Extractor:
    """How answers of one kind are found and compared.

    Attributes:
        kind: what it was made from, such as "choice:ABCD".
        find: the answer in a whole output; None when there is none that can be read.
        read: an answer that stands alone, such as the right one in a data set.
        same: whether an answer (first) is as good as the right one (second).
    """

    kind: str
    find: Callable[[str], Found | None]
    read: Callable[[str], Found | None]
    same: Callable[[Found, Found], bool] = equal_keys


def extractor(kind: str = "number") -> Extractor:
    """The extractor of a kind, with what follows its first colon as its option.

    - `number`: with units, currency, separators, fractions, percentages, words.
    - `choice`: one letter of A to E; `choice:ABCD` one of these; `choice:cat|dog` one of these words.
    - `yesno`: yes or no, true or false.
    - `date`: a day; 03/04/2024 is read with the month first, or with the day first by `date:dmy`.
    - `json`: the last JSON object or list; `json:result.total` one field of it.
    - `text`: the words, without case, punctuation and articles.
    - `regex:PATTERN`: the last match; its group "answer", or its first group, or all of it.

    Raises:
        UsageError: there is no such kind, or its option cannot be used.
    """
    name, _, option = kind.partition(":")
    makers: dict[str, Callable[[str], Seek]] = {
        "number": _without_option(extract_number.SEEK),
        "choice": extract_choice.choice,
        "yesno": _without_option(extract_choice.YES_OR_NO),
        "date": extract_date.date,
        "json": extract_json.json_value,
        "text": _without_option(extract_text.TEXT),
        "regex": extract_text.pattern,
    }
    if name not in makers:
        raise UsageError("choosing an extractor", f"{kind!r} is no kind of answer", f"Known: {', '.join(KINDS)}")
    seek = makers[name](option)
    return Extractor(kind, partial(find, seek=seek), partial(_read, seek), seek.same)


def _without_option(seek: Seek) -> Callable[[str], Seek]:
    def make(option: str) -> Seek:
        if option:
            raise UsageError("choosing an extractor", f"this kind has no option {option!r}", "Leave it out")
        return seek

    return make


def _read(seek: Seek, answer: str) -> Found | None:
    """Alone, an answer is all there is; a worked solution with its answer at the end will do too."""
    return seek.alone(answer) or find(answer, seek)


def as_text(value: Any) -> str:
    """The right answer as a data set holds it, as text: yes or no for a truth value, JSON for lists and objects."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (Mapping, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def is_right(answer: Found | None, right: Sequence[Found], extractor: Extractor) -> bool:
    """Whether an answer is one of the right ones."""
    return answer is not None and any(extractor.same(answer, each) for each in right)
