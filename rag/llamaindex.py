"""A knowledge base as a LlamaIndex retriever, for query engines and workflows."""

from __future__ import annotations

import asyncio

from decoder.errors import MissingExtra

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise MissingExtra("making a LlamaIndex retriever", "llama-index-core", "rag") from error

from rag.filters import Where
from rag.knowledge import KnowledgeBase
from rag.types import Hit


class HearthNodeRetriever(BaseRetriever):
    """Finds passages as scored text nodes; what is known of each is in its metadata.

    Args:
        limit: passages a query returns; None is the settings' own.
        where: what may be found.
    """

    def __init__(self, knowledge_base: KnowledgeBase, limit: int | None = None, where: Where | None = None) -> None:
        self.knowledge_base, self.limit, self.where = knowledge_base, limit, where
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self.knowledge_base.search(query_bundle.query_str, self.limit, where=self.where)
        return [_node(hit) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(hit: Hit) -> NodeWithScore:
    passage = hit.passage
    known = {"source": passage.source, "title": passage.title, "location": passage.location, "page": passage.page}
    node = TextNode(
        id_=passage.id,
        text=passage.text,
        metadata={key: value for key, value in known.items() if value is not None},
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        excluded_embed_metadata_keys=list(known),
        excluded_llm_metadata_keys=["source", "title", "page"],
    )
    return NodeWithScore(node=node, score=hit.score)
