"""Tools over a knowledge base: its passages, and its checked answers, each with where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from agents.tool import Tool

if TYPE_CHECKING:
    from rag import KnowledgeBase
    from rag.types import Answer, Hit

LONGEST_PASSAGE = 1_500
NOTHING = "Nothing in the knowledge base fits."


def knowledge_search(kb: KnowledgeBase, limit: int = 5, **options: Any) -> Tool:
    """The tool `knowledge_search`: passages that fit a query, with their places. What it finds is untrusted.

    Args:
        limit: most passages unless the decoder asks for fewer or more (up to 20).
        options: fields of `Tool`; `trusted=True` for a knowledge base that nobody else can write to.
    """
    from pydantic import Field

    from agents.signature import read_signature

    most = limit

    def knowledge_search(
        query: Annotated[str, Field(min_length=1)], limit: Annotated[int, Field(ge=1, le=20)] = most
    ) -> str:
        """Search the knowledge base for passages. Each comes with its document and place, to be cited.

        Args:
            query: what to look for, in words or as a question.
            limit: how many passages at most.
        """
        return passages_text(kb.search(query, limit))

    return read_signature(knowledge_search, **{"effect": "read", "idempotent": True, **options})


def knowledge_ask(kb: KnowledgeBase, **options: Any) -> Tool:
    """The tool `knowledge_ask`: an answer of the knowledge base itself, its citations checked. It is untrusted.

    The knowledge base must have a decoder. `options` are fields of `Tool`.
    """
    from pydantic import Field

    from agents.signature import read_signature

    async def knowledge_ask(question: Annotated[str, Field(min_length=1)]) -> str:
        """Ask the knowledge base a question. The answer says which documents and places support it.

        Args:
            question: one question, complete in itself.
        """
        return answer_text(await kb.aask(question))

    return read_signature(knowledge_ask, **{"effect": "read", "idempotent": True, "timeout": 300.0, **options})


def passages_text(hits: list[Hit]) -> str:
    """Numbered passages, each under its place."""
    shown = [f"{number}. {hit.passage.location}\n{_cut(hit.passage.text)}" for number, hit in enumerate(hits, 1)]
    return "\n\n".join(shown) or NOTHING


def answer_text(answer: Answer) -> str:
    """The answer, and under it the places that support it by its markers."""
    places = [f"[{citation.marker}] {citation.location}" for citation in answer.citations]
    return "\n".join([answer.text, *(["Sources:", *places] if places else [])])


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LONGEST_PASSAGE else f"{text[:LONGEST_PASSAGE]}…"
