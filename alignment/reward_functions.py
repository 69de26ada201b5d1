"""Reward functions that ship, to be named in a recipe or to be read as examples. `load_function` finds one of your own.

Each is called as TRL calls its own: f(prompts=[…], completions=[…], **columns), one entry for each completion, where a
completion is text, or messages such as [{"role": "assistant", "content": "…"}]; each returns a list of floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from alignment.reward_loading import load_function
from decoder.errors import RecipeError

__all__ = ["begins_with_answer", "exact_answer", "format_pattern", "load_function", "shortness", "text_of"]

Completion: TypeAlias = str | Sequence[Mapping[str, Any]]

MARK = "####"
"""What stands before the final answer, as in GSM8K."""
SHORT = 100
"""Words beyond which `shortness` is 0."""
MATCH_SECONDS = 0.5
MATCH_CHARACTERS = 20_000


def text_of(completion: Completion) -> str:
    """The text of a completion: itself, or the content of its last message."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1].get("content") or "") if completion else ""


def exact_answer(completions: Sequence[Completion], answer: Sequence[Any], **_: Any) -> list[float]:
    """1 where a completion's final answer is the row's `answer`, else 0.

    The final answer is what follows the last "####", in the row's answer too; without one, the last word. Case,
    thousands separators, a currency sign before it and a full stop after it do not matter.
    """
    return [float(_final(text_of(c)) == _final(str(a))) for c, a in zip(completions, answer, strict=True)]


def begins_with_answer(completions: Sequence[Completion], answer: Sequence[Any], **_: Any) -> list[float]:
    """1 where a completion's first words are the row's `answer`, whatever follows; else 0. Case does not matter."""
    return [
        float(_begins(text_of(c).strip().lower(), str(a).strip().lower()))
        for c, a in zip(completions, answer, strict=True)
    ]


def shortness(completions: Sequence[Completion], **_: Any) -> list[float]:
    """1 for no words, falling to 0 at `SHORT` words and more."""
    return [max(0.0, 1 - len(text_of(completion).split()) / SHORT) for completion in completions]


def format_pattern(completions: Sequence[Completion], pattern: Sequence[str], **_: Any) -> list[float]:
    """1 where the whole completion matches the row's `pattern`, a regular expression; else 0.

    A match that takes more than half a second, or a text of more than 20,000 characters, counts as none.

    Raises RecipeError when a pattern is no regular expression.
    """
    return [float(_matches(text_of(c), p)) for c, p in zip(completions, pattern, strict=True)]


def _final(text: str) -> str:
    marked = text.rpartition(MARK)
    words = marked[2].split() if marked[1] else text.split()[-1:]
    return " ".join(words).lower().replace(",", "").lstrip("$").rstrip(".")


def _begins(text: str, answer: str) -> bool:
    following = text[len(answer) : len(answer) + 1]
    return bool(answer) and text.startswith(answer) and not following.isalnum()


def _matches(text: str, pattern: str) -> bool:
    import regex  # type: ignore[import-untyped]  # unlike `re` it can be given a time limit

    if len(text) > MATCH_CHARACTERS:
        return False
    try:
        return regex.fullmatch(pattern, text, flags=regex.DOTALL, timeout=MATCH_SECONDS) is not None
    except TimeoutError:
        return False
    except regex.error as error:
        raise RecipeError("rewarding", f"pattern {pattern!r}: {error}", "Mend the column `pattern`") from error
