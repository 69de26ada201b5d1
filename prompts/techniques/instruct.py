"""Where a technique puts its instruction: into the system turn, on the side that keeps the stable part together."""

from __future__ import annotations

from dataclasses import replace

from prompts.template import Prompt
from prompts.turns import Turn, joined, names


def instruct(prompt: Prompt, text: str, first: bool = False) -> Prompt:
    """`prompt` with a paragraph of plain text in its system turn, which is made where there is none.

    Args:
        first: before what the turn says already. A turn that uses volatile variables gets it there in any case.
    """
    head = prompt.messages[0]
    if not isinstance(head, Turn) or head.role != "system":
        return replace(prompt, messages=(Turn("system", text, literal=True), *prompt.messages))
    before = first or bool(names(head) & prompt.volatile)
    return replace(prompt, messages=(joined(head, text, before), *prompt.messages[1:]))
