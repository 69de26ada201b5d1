"""The grounded-answer prompt: a question, numbered passages, and the rules for citing them.

Its text is `library/grounded-answer.md`, which a user's file of that name replaces. What never changes stands first,
the question last, so that a prefix cache serves as much as it can.
"""

from __future__ import annotations

from collections.abc import Sequence

from decoder.types import Message

REFUSAL = "The documents do not say."


def grounded_answer(
    question: str, passages: Sequence[str], labels: Sequence[str] = (), history: Sequence[Message] = ()
) -> tuple[Message, ...]:
    """The conversation to complete: rules, earlier turns, then the passages and the question.

    Args:
        passages: texts, best first; passage n is cited as [n].
        labels: where each comes from, for the reader.
        history: earlier turns of user and assistant, oldest first; their citation numbers meant other passages.

    Raises PromptError when the user's own grounded-answer.md cannot be used.
    """
    from prompts.folders import load
    from prompts.variables import Quoted

    earlier = tuple(turn for turn in history if turn.role in ("user", "assistant"))
    quoted = [Quoted(text, label) for text, label in zip(passages, labels or [""] * len(passages), strict=True)]
    return load("grounded-answer").render(question=question.strip(), passages=quoted, history=earlier, refusal=REFUSAL)
