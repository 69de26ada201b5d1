"""Answers in words, and answers that a pattern of one's own finds."""

from __future__ import annotations

import re
import string
from functools import partial

from decoder.errors import UsageError
from prompts.extract_found import Found, Seek

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_EDGES = " \t\n*_`\"'“”.,:;"


def normalized(text: str) -> str:
    """Lower case without punctuation, articles and needless spaces, as SQuAD compares answers.

    Source: the evaluation script of Rajpurkar et al. 2016, "SQuAD".
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _words(text: str) -> Found | None:
    plain = text.strip(_EDGES)
    return Found(normalized(plain) or plain.casefold(), plain) if plain else None


def _last_line(text: str) -> Found | None:
    return next((found for line in reversed(text.split("\n")) if (found := _words(line))), None)


TEXT = Seek(_words, _last_line, _words)


def pattern(option: str) -> Seek:
    """The last match of a pattern: its group named `answer`, else its first group, else all of it.

    The pattern runs over what a model wrote: one that backtracks without end is the fault of whoever wrote it.

    Raises:
        UsageError: it is empty or no regular expression.
    """
    try:
        compiled = re.compile(option)
    except re.error as error:
        raise UsageError("choosing an extractor", f"{option!r} is no pattern: {error}", "Mend it") from error
    if not option:
        raise UsageError("choosing an extractor", "there is no pattern", "Write regex:PATTERN")
    seek = partial(_match, compiled)
    return Seek(seek, seek, partial(_match_or_all, compiled), places=False)


def _match(compiled: re.Pattern[str], text: str) -> Found | None:
    matches = list(compiled.finditer(text))
    if not matches:
        return None
    last, group = matches[-1], "answer" if "answer" in compiled.groupindex else min(1, compiled.groups)
    said = (last[group] or "").strip()
    return Found(" ".join(said.split()), said) if said else None


def _match_or_all(compiled: re.Pattern[str], answer: str) -> Found | None:
    """The right answer may be written as the pattern sees it, or without what stands around it."""
    return _match(compiled, answer) or (Found(" ".join(answer.split()), answer.strip()) if answer.strip() else None)
