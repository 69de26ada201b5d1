"""A question of a conversation as queries that can be searched, written by a decoder; by rule where that fails.

What a decoder writes is only searched with: it can find other passages, and say nothing. The question itself, made
to stand alone by rule, is always among the queries, so that a poor rewriting takes nothing away.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from decoder.constraint import json_schema
from decoder.errors import HearthError
from decoder.types import Message, Sampling
from prompts.queries import search_queries
from rag.followup import standalone

if TYPE_CHECKING:
    from decoder.base import Decoder

MOST_TOKENS = 200
SECONDS = 15.0
QUERY_CHARACTERS = 300
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.)])\s+|^\s*[\"“]|[\"”]\s*$")


async def rewrite(
    question: str, history: Sequence[Message], decoder: Decoder | None, count: int = 3, timeout: float = SECONDS
) -> tuple[str, ...]:
    """Queries to search with, the question made to stand alone by rule first; that alone without a decoder.

    Args:
        count: most queries that the decoder writes; 0 asks it for none.
        timeout: seconds it may take. An error, too long a wait or an answer without queries leave the first alone.
    """
    first = standalone(question, history)
    if decoder is None or count < 1:
        return (first,)
    try:
        async with asyncio.timeout(timeout):
            written = await _written(question, history, decoder, count)
    except (HearthError, TimeoutError):
        return (first,)
    return tuple(dict.fromkeys((first, *written[:count])))


async def _written(question: str, history: Sequence[Message], decoder: Decoder, count: int) -> list[str]:
    await decoder.aready()
    as_json = "json" in decoder.constraints
    completion = await decoder.acomplete(
        search_queries(question, history, count, as_json),
        sampling=Sampling(temperature=0.0, max_tokens=MOST_TOKENS),
        constraint=json_schema(_schema(count)) if as_json else None,
    )
    lines = _from_json(completion.text) if as_json else completion.text.splitlines()
    return [query for line in lines if (query := _query(line))]


def _schema(count: int) -> dict[str, object]:
    queries = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": count}
    return {"type": "object", "properties": {"queries": queries}, "required": ["queries"]}


def _from_json(text: str) -> list[str]:
    try:
        queries = json.loads(text)["queries"]
    except (ValueError, KeyError, TypeError, RecursionError):  # cut off at its last token
        return []
    return [query for query in queries if isinstance(query, str)] if isinstance(queries, list) else []


def _query(line: str) -> str:
    """One line without list marks and quotes; empty for what is too long to be a query."""
    query = " ".join(_LIST_MARK.sub("", _LIST_MARK.sub("", line)).split())
    return query if len(query) <= QUERY_CHARACTERS else ""
