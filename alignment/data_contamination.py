"""Whether training rows hold the questions of an evaluation: by runs of words, as GPT-3's authors looked.

Brown et al. 2020 (appendix C) compare lower-cased words without punctuation, and call a text contaminated that shares
a run of N words with an evaluation example, N being 13 and for short examples their length, but no less than 8. Here a
question of fewer than 8 words, for which they have no rule, counts when it is the whole of a text. Only questions are
looked for: an answer such as "42" stands everywhere. Sentences that many questions share will match as well, so each
match is listed with its words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from alignment.data_sources import read_source
from alignment.data_turns import is_transcript, transcript
from alignment.errors import DataError

Words: TypeAlias = tuple[str, ...]

LONGEST_RUN, SHORTEST_RUN = 13, 8
QUESTIONS = ("question", "prompt", "instruction", "text", "query", "input")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Questions:
    """What training rows are searched for.

    Attributes:
        runs: runs of 8 to 13 words, by their first 8.
        whole: questions of fewer words.
    """

    runs: Mapping[Words, set[Words]] = field(default_factory=dict)
    whole: frozenset[Words] = frozenset()


def words(text: str) -> Words:
    """The words of a text in lower case, without punctuation."""
    return tuple(_WORD.findall(text.casefold()))


def read_questions(source: str) -> Questions:
    """The questions of an evaluation file: a `question` or another such field, or what the user says in conversations.

    Raises:
        DataError: it cannot be read, or a row has no question.
    """
    texts: list[str] = []
    for index, raw in enumerate(read_source(source)):
        found = list(_questions(raw.row)) if raw.row is not None else []
        if not any(words(text) for text in found):
            line = f" (line {raw.line})" if raw.line else ""
            cause = f"row {index}{line} of {source}: {raw.reason or 'it has no question'}"
            raise DataError("checking contamination", cause, f"Name the field one of {', '.join(QUESTIONS)}")
        texts += found
    if not texts:
        raise DataError("checking contamination", f"{source} holds no row", "Give a file of questions")
    return index_questions(texts)


def index_questions(texts: Iterable[str]) -> Questions:
    """Questions, ready to be looked for."""
    runs: defaultdict[Words, set[Words]] = defaultdict(set)
    whole = set()
    for text in texts:
        said = words(text)
        if 0 < len(said) < SHORTEST_RUN:
            whole.add(said)
        for run in _runs(said, min(LONGEST_RUN, len(said))) if len(said) >= SHORTEST_RUN else ():
            runs[run[:SHORTEST_RUN]].add(run)
    return Questions(dict(runs), frozenset(whole))


def shared_words(row: Mapping[str, Any], questions: Questions) -> str:
    """The first words that a row shares with a question; empty when it shares none that count."""
    for text in _texts(row):
        said = words(text)
        if said in questions.whole:
            return " ".join(said)
        for start, head in enumerate(_runs(said, SHORTEST_RUN)):
            for run in questions.runs.get(head, ()):
                if said[start : start + len(run)] == run:
                    return " ".join(run)
    return ""


def _runs(said: Words, length: int) -> Iterator[Words]:
    return zip(*(said[offset:] for offset in range(length)), strict=False)


def _questions(row: Mapping[str, Any]) -> Iterator[str]:
    for name in QUESTIONS:
        if isinstance(row.get(name), str):
            yield row[name]
            return
    conversation = row.get("prompt") or row.get("messages") or row.get("conversations") or row.get("chosen")
    if is_transcript(conversation):
        conversation = transcript(str(conversation), "chosen")
    for turn in conversation if isinstance(conversation, list) else []:
        if isinstance(turn, dict) and (turn.get("role") or turn.get("from")) in ("user", "human"):
            yield str(turn.get("content") or turn.get("value") or "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)
