"""Which prompts of the library a chat can use, and what is said to the model where there are no documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from decoder.types import Message, Sampling, user
from prompts.errors import PromptError
from prompts.folders import library
from prompts.grounded import is_grounded
from prompts.turns import Turn

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.template import Prompt

MOST_TOKENS = 1024
"""Most tokens of an answer where nothing is said of it."""
UNTOLD_CONTEXT = 4096


def fitting(grounded: bool) -> list[str]:
    """The names of the prompts that a chat can use; those that are malformed are left out."""
    found = []
    every = library()
    for name in every:
        try:
            prompt = every[name]
        except PromptError:
            continue
        if is_grounded(prompt) if grounded else is_plain(prompt):
            found.append(name)
    return found


def is_plain(prompt: Prompt) -> bool:
    """Whether a prompt has system text and wants one text alone: what the person says."""
    needed = [variable for variable in prompt.variables if variable.required]
    first = prompt.messages[0] if prompt.messages else None
    system = isinstance(first, Turn) and first.role == "system"
    return system and prompt.schema is None and len(needed) == 1 and needed[0].type == "string"


def chosen(name: str, grounded: bool) -> Prompt | None:
    """The prompt of a conversation; None for none.

    Raises:
        PromptError: there is none of this name, or it does not fit any more.
    """
    if not name:
        return None
    prompt = library()[name]
    if not (is_grounded(prompt) if grounded else is_plain(prompt)):
        raise PromptError("asking", f"the prompt {name} does not fit this chat", "Choose another in the settings")
    return prompt


def said(question: str, history: Sequence[Message], prompt: Prompt | None) -> tuple[Message, ...]:
    """The conversation to complete without documents. Raises PromptError when the prompt fails."""
    if prompt is None:
        return (*history, user(question))
    (needed,) = (variable.name for variable in prompt.variables if variable.required)
    turns = next((variable.name for variable in prompt.variables if variable.type == "messages"), None)
    if turns is not None:
        return prompt.render(**{needed: question, turns: tuple(history)})
    *before, last = prompt.render(**{needed: question})
    return (*before, *history, last)


async def fitted(
    question: str, history: Sequence[Message], prompt: Prompt | None, sampling: Sampling, decoder: Decoder
) -> tuple[tuple[Message, ...], Sampling]:
    """What is said, without as many of the earliest turns as leave room for an answer, and how it is drawn."""
    context = await decoder.acontext_length() or UNTOLD_CONTEXT
    most = max(1, min(sampling.max_tokens or MOST_TOKENS, context // 2))
    turns = list(history)
    while turns and await decoder.acount_tokens(said(question, turns, prompt)) + most > context:
        del turns[:2]
    return said(question, turns, prompt), replace(sampling, max_tokens=most)
