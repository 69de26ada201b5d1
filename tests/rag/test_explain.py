"""An explanation says what really happened: its numbers are those of the searches and steps."""

import pytest

from rag.explain import explain
from rag.filters import Access, parse_where
from rag.fusion import fuse
from rag.parents import Parents
from rag.rerank import Reranker
from rag.retrieve import Search, retrieve_steps
from rag.sparse import sparse_query

FACTS = {
    "garden.md": ["Roses grow beside the wall.", "The gardener waters roses daily."],
    "ships.md": ["Sailing ships need wind, part XJ-42."],
}


class Backwards(Reranker):
    name = "backwards"

    def score(self, query, texts):
        return [float(n) for n in range(len(texts))]


def test_the_numbers_are_those_of_the_searches(store, write, embedder):
    write(store, FACTS)
    query = "Who waters the roses or sails?"
    explanation = explain(retrieve_steps(query, store, embedder))
    dense = store.search_dense(embedder.embed_query(query), 50)
    sparse = store.search_sparse(sparse_query(query), 50)
    fused = fuse(dense, sparse)
    assert [reason.hit for reason in explanation.hits] == fused
    for rank, reason in enumerate(explanation.hits, 1):
        (said,) = reason.queries
        assert (reason.rank, reason.fused_rank, reason.fused_score) == (rank, rank, reason.hit.score)
        assert (said.cosine, said.bm25) == (reason.hit.dense, reason.hit.sparse)
        assert dense[said.dense_rank - 1][0].id == reason.hit.passage.id
        assert said.sparse_rank is None or sparse[said.sparse_rank - 1][0].id == reason.hit.passage.id
        assert sum(said.parts.values()) == pytest.approx(reason.fused_score)
        assert (reason.reranked_rank, reason.diversified_rank, reason.merged) == (None, None, ())
    best = explanation.hits[0].queries[0]
    assert (best.words, best.missing) == (("waters", "roses"), ("sails",))


def test_each_step_that_was_taken_is_told(store, write, embedder):
    write(store, FACTS)
    where = parse_where(["source=garden.md", "page!=3"], Access("", ("user:ann",)))
    search = Search(limit=2, where=where, reranker=Backwards(), diversity=0.5)
    explanation = explain(retrieve_steps("roses", store, embedder, search))
    assert explanation.filters == ("source=garden.md", "page!=3", "tenant (none), as user:ann")
    assert (explanation.reranker, explanation.diversity) == ("backwards", 0.5)
    assert [(reason.fused_rank, reason.reranked_rank) for reason in explanation.hits] == [(2, 1), (1, 2)]
    assert [reason.diversified_rank for reason in explanation.hits] == [1, 2]
    assert [reason.reranker_score for reason in explanation.hits] == [1.0, 0.0]


def test_a_parent_tells_what_it_took_in(tmp_path, embedder):
    from rag import KnowledgeBase

    (tmp_path / "a.md").write_text("# Rent\n\n" + " ".join(f"Rent clause {n} binds tenants." for n in range(90)))
    with KnowledgeBase("mine", home=tmp_path / "home", embedder=embedder) as base:
        base.add(tmp_path / "a.md")
        explanation = base.explain("rent clause", options=Search(limit=4, parents=Parents(2)))
    reason = next(reason for reason in explanation.hits if reason.merged)
    assert len(reason.merged) >= 2
    assert reason.queries[0].cosine == reason.hit.dense
