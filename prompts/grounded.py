"""The grounded-answer prompt: a question, numbered passages, and the rules for citing them.

Its text is `library/grounded-answer.md`, which a user's file of that name replaces. What never changes stands first,
the question last, so that a prefix cache serves as much as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from decoder.types import Message

if TYPE_CHECKING:
    from prompts.template import Prompt

REFUSAL = "The documents do not say."
GIVEN = {"question": "string", "passages": "untrusted", "history": "messages", "refusal": "string"}
"""The variables that a prompt for grounded answers is given, and their types; it needs the first two."""


def is_grounded(prompt: Prompt) -> bool:
    """Whether a prompt can be asked with a question and passages alone."""
    types = {variable.name: variable.type for variable in prompt.variables}
    fits = all(GIVEN.get(name) == kind for name, kind in types.items() if name in GIVEN)
    needed = {variable.name for variable in prompt.variables if variable.required}
    return fits and {"question", "passages"} <= types.keys() and needed <= GIVEN.keys()


def grounded_answer(
    question: str,
    passages: Sequence[str],
    labels: Sequence[str] = (),
    history: Sequence[Message] = (),
    prompt: Prompt | None = None,
) -> tuple[Message, ...]:
    """The conversation to complete: rules, earlier turns, then the passages and the question.

    Args:
        passages: texts, best first; passage n is cited as [n].
        labels: where each comes from, for the reader.
        history: earlier turns of user and assistant, oldest first; their citation numbers meant other passages.
        prompt: one that `is_grounded`, in place of grounded-answer.

    Raises PromptError when the user's own grounded-answer.md, or `prompt`, cannot be used.
    """
    from prompts.folders import load
    from prompts.variables import Quoted

    earlier = tuple(turn for turn in history if turn.role in ("user", "assistant"))
    quoted = [Quoted(text, label) for text, label in zip(passages, labels or [""] * len(passages), strict=True)]
    values = {"question": question.strip(), "passages": quoted, "history": earlier, "refusal": REFUSAL}
    chosen = prompt or load("grounded-answer")
    known = {variable.name for variable in chosen.variables} if prompt is not None else values.keys()
    return chosen.render(**{name: value for name, value in values.items() if name in known})
