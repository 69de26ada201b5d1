"""Fusion by score and by rank: worked by hand, and what must hold whatever the lists are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.fusion import DENSE_WEIGHT, METHOD, RANK_CONSTANT, fuse
from rag.types import Passage


def passage(number):
    return Passage(f"id{number}", f"text {number}", "a.md", "", 0, 1, 1, 1)


def found(*pairs):
    return [(passage(number), score) for number, score in pairs]


def scores(hits):
    return {hit.passage.id: hit.score for hit in hits}


DENSE = found((1, 0.8), (2, 0.4), (3, -0.1))
SPARSE = found((2, 10.0), (4, 5.0))


def test_scores_are_shares_of_the_best():
    hits = fuse(DENSE, SPARSE, 0.5, "score")
    assert [hit.passage.id for hit in hits] == ["id2", "id1", "id4", "id3"]
    assert scores(hits) == pytest.approx({"id1": 0.5, "id2": 0.25 + 0.5, "id3": 0.0, "id4": 0.25})


def test_ranks_are_reciprocal_whatever_the_scores():
    hits = fuse(DENSE, SPARSE, 0.5, "rank")
    first, second, third = (0.5 * (RANK_CONSTANT + 1) / (RANK_CONSTANT + rank) for rank in (1, 2, 3))
    assert scores(hits) == pytest.approx({"id1": first, "id2": second + first, "id3": third, "id4": second})
    stretched = found((1, 800.0), (2, 3.0), (3, 2.0))
    assert scores(fuse(stretched, SPARSE, 0.5, "rank")) == scores(hits)


def test_the_default_is_by_score_with_equal_weights():
    assert (METHOD, DENSE_WEIGHT) == ("score", 0.5)
    assert fuse(DENSE, SPARSE) == fuse(DENSE, SPARSE, 0.5, "score")


@pytest.mark.parametrize("method", ["score", "rank"])
def test_a_weight_of_one_or_none_is_one_search_alone(method):
    assert [hit.passage.id for hit in fuse(DENSE, SPARSE, 1.0, method)][:2] == ["id1", "id2"]
    assert [hit.passage.id for hit in fuse(DENSE, SPARSE, 0.0, method)][:2] == ["id2", "id4"]


@pytest.mark.parametrize("method", ["score", "rank"])
def test_one_empty_list_leaves_the_order_of_the_other(method):
    assert [hit.passage.id for hit in fuse(DENSE, [], method=method)] == ["id1", "id2", "id3"]
    assert [hit.passage.id for hit in fuse([], SPARSE, method=method)] == ["id2", "id4"]
    assert fuse([], [], method=method) == []


lists = st.lists(st.tuples(st.integers(0, 20), st.floats(-1, 30)), max_size=20, unique_by=lambda pair: pair[0])


@settings(max_examples=100, deadline=None)
@given(lists, lists, st.floats(0, 1), st.sampled_from(["score", "rank"]))
def test_everything_found_is_there_once_with_a_score_between_0_and_1(dense, sparse, weight, method):
    hits = fuse(found(*dense), found(*sparse), weight, method)
    assert {hit.passage.id for hit in hits} == {f"id{n}" for n, _ in (*dense, *sparse)}
    assert len(hits) == len({hit.passage.id for hit in hits})
    assert all(-1e-9 <= hit.score <= 1 + 1e-9 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits == fuse(found(*dense[::-1]), found(*sparse[::-1]), weight, method)


@settings(max_examples=100, deadline=None)
@given(lists, lists, st.floats(0.5, 4))
def test_the_scale_of_a_search_does_not_matter(dense, sparse, scale):
    larger = [(passage, score * scale) for passage, score in found(*sparse)]
    one, other = (scores(fuse(found(*dense), terms)) for terms in (found(*sparse), larger))
    assert one == pytest.approx(other, abs=1e-9)
