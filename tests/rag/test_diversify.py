"""Maximal marginal relevance by its definition, over vectors and over words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import UsageError
from rag.diversify import by_vectors, by_words, diversify
from rag.retrieve import Search, retrieve
from rag.types import Hit, Passage


def hit(number, score, text="text"):
    return Hit(Passage(f"id{number}", text, "a.md", "", 0, 1, 1, 1), score)


def ids(hits):
    return [found.passage.id for found in hits]


SCORES = st.lists(st.floats(0, 10), max_size=12).map(lambda scores: sorted(scores, reverse=True))


def random_vectors(count, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(max_examples=100, deadline=None)
@given(SCORES, st.integers(0, 99))
def test_lambda_one_keeps_the_order(scores, seed):
    hits = [hit(n, score) for n, score in enumerate(scores)]
    assert diversify(hits, by_vectors(random_vectors(len(hits), seed)), 1.0) == hits


@settings(max_examples=100, deadline=None)
@given(SCORES, st.integers(0, 99), st.floats(0, 1), st.integers(1, 12))
def test_each_next_hit_is_the_one_that_the_formula_picks(scores, seed, trade_off, limit):
    hits, vectors = [hit(n, score) for n, score in enumerate(scores)], random_vectors(len(scores), seed)
    similarity = by_vectors(vectors)
    chosen = diversify(hits, similarity, trade_off, limit)
    assert len(chosen) == min(limit, len(hits))
    assert len(set(ids(chosen))) == len(chosen)
    if not hits:
        return
    low, high = min(scores), max(scores)
    relevance = [(score - low) / (high - low) if high > low else 1.0 for score in scores]
    order = [int(found.passage.id[2:]) for found in chosen]
    for position, number in enumerate(order):

        def value(i, before=order[:position]):
            return trade_off * relevance[i] - (1 - trade_off) * max((similarity(i, j) for j in before), default=0.0)

        assert value(number) >= max(value(i) for i in range(len(hits)) if i not in order[:position]) - 1e-6


def test_a_repetition_gives_way_to_something_else():
    hits = [hit(0, 1.0, "roses by the wall"), hit(1, 0.99, "Roses by the wall."), hit(2, 0.9, "tulips in May")]
    assert ids(diversify(hits, by_words(hits), 0.5)) == ["id0", "id2", "id1"]
    assert by_words(hits)(0, 1) == 1.0
    assert by_words(hits)(0, 2) == 0.0


def test_in_a_search_by_words_and_by_vectors(store, write, embedder):
    copies = [f"The gardener waters the roses daily{'.' * n}" for n in range(4)]
    write(store, {"a.md": copies, "b.md": ["Roses grow beside the old stone wall."]})
    plain = retrieve("Who waters the roses daily?", store, embedder, Search(limit=2))
    assert {found.passage.source for found in plain} == {"a.md"}
    for by in ("words", "vectors"):
        options = Search(limit=2, diversity=0.3, diversity_by=by)
        found = retrieve("Who waters the roses daily?", store, embedder, options)
        assert [f.passage.source for f in found] == ["a.md", "b.md"]
    same = retrieve("Who waters the roses daily?", store, embedder, Search(limit=5, diversity=1.0))
    assert same == retrieve("Who waters the roses daily?", store, embedder, Search(limit=5))


def test_a_lambda_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="trade_off"):
        diversify([], lambda i, j: 0.0, 1.5)
    with pytest.raises(UsageError, match="diversity"):
        Search(diversity=-0.1)
    with pytest.raises(UsageError, match="limit"):
        Search(limit=0)
