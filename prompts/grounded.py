"""The grounded-answer prompt: a question, numbered passages, and the rules for citing them.

What never changes stands first, the question last, so that a prefix cache serves as much as it can.
"""

from __future__ import annotations

from collections.abc import Sequence

from decoder.types import Message, system, user
from prompts.untrusted import UNTRUSTED_RULE, mark_untrusted

REFUSAL = "The documents do not say."

RULES = f"""You answer questions from numbered passages, and from nothing else.

- Use only what the passages say. Do not add what you know from elsewhere.
- End every sentence with the number of the passage that supports it in square brackets, like this: [1].
- Keep names and numbers exactly as the passage writes them.
- Answer in one to four short sentences, in the language of the question.
- If the passages do not hold the answer, reply with exactly: {REFUSAL}

{UNTRUSTED_RULE}"""


def grounded_answer(
    question: str, passages: Sequence[str], labels: Sequence[str] = (), history: Sequence[Message] = ()
) -> tuple[Message, ...]:
    """The conversation to complete: rules, earlier turns, then the passages and the question.

    Args:
        passages: texts, best first; passage n is cited as [n].
        labels: where each comes from, for the reader.
        history: earlier turns of user and assistant, oldest first; their citation numbers meant other passages.
    """
    earlier = tuple(turn for turn in history if turn.role in ("user", "assistant"))
    asked = f"{mark_untrusted(passages, labels)}\n\nQuestion: {question.strip()}"
    return (system(RULES), *earlier, user(asked))
