"""The prompt that turns a question of a conversation into what to search for: `library/query-rewrite.md`."""

from __future__ import annotations

from collections.abc import Sequence

from decoder.types import Message

TURNS = 6
TURN_CHARACTERS = 600


def search_queries(question: str, history: Sequence[Message], count: int, as_json: bool) -> tuple[Message, ...]:
    """The conversation to complete: rules, then the turns as quoted material, and the question.

    Args:
        count: queries to write.
        as_json: the output is constrained to `{"queries": […]}`; else it is one query a line.

    Raises PromptError when the user's own query-rewrite.md cannot be used.
    """
    from prompts.folders import load
    from prompts.variables import Quoted

    turns = [turn for turn in history if turn.role in ("user", "assistant") and turn.text.strip()][-TURNS:]
    quoted = [Quoted(turn.text[:TURN_CHARACTERS], turn.role) for turn in turns]
    return load("query-rewrite").render(question=question.strip(), history=quoted, count=count, as_json=as_json)
