"""A knowledge base as a LangChain retriever, for LCEL chains and agents."""

from __future__ import annotations

import asyncio
from typing import Any

from decoder.errors import MissingExtra

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import ConfigDict
except ImportError as error:
    raise MissingExtra("making a LangChain retriever", "langchain-core", "rag") from error

from rag.filters import Where
from rag.knowledge import KnowledgeBase
from rag.types import Hit


class HearthRetriever(BaseRetriever):
    """Finds passages as LangChain documents; what is known of each is in its metadata.

    Attributes:
        limit: passages a query returns; None is the settings' own.
        where: what may be found.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    knowledge_base: KnowledgeBase
    limit: int | None = None
    where: Where | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [_document(hit) for hit in self.knowledge_base.search(query, self.limit, where=self.where)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = await asyncio.to_thread(self.knowledge_base.search, query, self.limit, where=self.where)
        return [_document(hit) for hit in hits]


def _document(hit: Hit) -> Document:
    return Document(page_content=hit.passage.text, metadata=metadata(hit), id=hit.passage.id)


def metadata(hit: Hit) -> dict[str, Any]:
    """Where the passage stands, as plain JSON values."""
    passage = hit.passage
    known = {
        "source": passage.source,
        "title": passage.title,
        "location": passage.location,
        "heading": " > ".join(passage.heading),
        "start": passage.start,
        "end": passage.end,
        "line_start": passage.line_start,
        "line_end": passage.line_end,
        "page": passage.page,
        "score": hit.score,
    }
    return {key: value for key, value in known.items() if value is not None}
