"""The cached prefix: what a conversation begins with whatever the values of the volatile variables are.

A prefix cache computes it once. It is found by rendering: the same prompt is rendered with other values for every
volatile variable, and what all renderings begin with alike is the prefix. Knows no tokens; a decoder counts those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from decoder.types import Message
from prompts.errors import RenderError
from prompts.template import Prompt
from prompts.variables import Variable

OTHERS: Mapping[str, Sequence[Any]] = {
    "string": ("Aa", "zZ", "5", "…"),
    "untrusted": ("Aa", "zZ", "5", "…"),
    "integer": (1, 27, 803, -4),
    "number": (1.5, 27, 803.25, -4),
    "boolean": (True, False, True, False),
    "array": (["Aa"], ["zZ"], ["5"], []),
    "object": ({"a": "Aa"}, {"z": "zZ"}, {"5": "5"}, {}),
    "messages": ([{"role": "user", "content": "Aa"}], [{"role": "assistant", "content": "zZ"}], [], []),
    "examples": ([{"input": "Aa", "output": "a"}], [{"input": "zZ", "output": "z"}], [], []),
}
"""By type, values that begin differently from each other, so that no two of them share a beginning by chance."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """Where the part that stays the same ends.

    Attributes:
        whole: messages that belong to it as a whole.
        characters: of the message after those, how many belong to it.
    """

    whole: int
    characters: int = 0

    def of(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The prefix of these messages, as messages; the last one is cut where the prefix ends."""
        kept = tuple(messages[: self.whole])
        if not self.characters:
            return kept
        cut = messages[self.whole]
        return (*kept, replace(cut, content=cut.text[: self.characters]))


def stable_prefix(prompt: Prompt, values: Mapping[str, Any]) -> Prefix:
    """What stays the same when every volatile variable has another value and the others keep theirs.

    Raises:
        RenderError: the values do not fit.
    """
    messages = prompt.render(**values)
    volatile = [variable for variable in prompt.variables if variable.name in prompt.volatile]
    if not volatile:
        return Prefix(len(messages))
    found = [_shared(messages, other) for other in _renderings(prompt, values, volatile)]
    if not found:  # no other value can be rendered, so the turns that use none of these variables have to do
        return Prefix(min(prompt.stable_turns, len(messages)))
    whole, characters = min((each.whole, each.characters) for each in found)
    return Prefix(whole, characters)


def _renderings(
    prompt: Prompt, values: Mapping[str, Any], volatile: Sequence[Variable]
) -> Iterator[tuple[Message, ...]]:
    """The conversation with other values: all of them changed at once, as often as there are others."""
    for number in range(len(OTHERS["string"])):
        others = {variable.name: OTHERS[variable.type][number] for variable in volatile}
        try:
            yield prompt.render(**{**values, **others})
        except RenderError:  # a template may refuse some values, as a filter does that wants a number
            continue


def _shared(here: Sequence[Message], there: Sequence[Message]) -> Prefix:
    whole = 0
    for one, other in zip(here, there, strict=False):
        if one.role != other.role:
            return Prefix(whole)
        if one.text != other.text:
            return Prefix(whole, _alike(one.text, other.text))
        whole += 1
    return Prefix(whole)


def _alike(one: str, other: str) -> int:
    """How many characters the two begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
