"""The prompt that turns a question of a conversation into what to search for."""

from __future__ import annotations

from collections.abc import Sequence

from decoder.types import Message, system, user
from prompts.untrusted import UNTRUSTED_RULE, mark_untrusted

TURNS = 6
TURN_CHARACTERS = 600

RULES = f"""You prepare searches in a collection of documents. You are given the last turns of a conversation as \
quoted passages, and a question.

- First write the question so that it can be understood without the conversation: put names in place of words like \
"it", "they" or "there". Do not answer it, and add nothing that was not said.
- Then write other ways to ask for the same, with other words that the documents may use.
- Keep names and numbers exactly as they are written, and the language of the question.

{UNTRUSTED_RULE}"""


def search_queries(question: str, history: Sequence[Message], count: int, as_json: bool) -> tuple[Message, ...]:
    """The conversation to complete: rules, then the turns as quoted material, and the question.

    Args:
        count: queries to write.
        as_json: the output is constrained to `{"queries": […]}`; else it is one query a line.
    """
    turns = [turn for turn in history if turn.role in ("user", "assistant") and turn.text.strip()][-TURNS:]
    quoted = mark_untrusted([turn.text[:TURN_CHARACTERS] for turn in turns], [turn.role for turn in turns])
    form = 'as JSON: {"queries": ["…"]}' if as_json else "one a line, without numbers and nothing else"
    asked = f"Question: {question.strip()}\n\nWrite {count} {'query' if count == 1 else 'queries'}, {form}."
    return (system(RULES), user(f"{quoted}\n\n{asked}" if quoted else asked))
