import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from prompts.extract_text import normalized
from prompts.intervals import difference, mean, share
from rag.metrics import (
    contains_answer,
    ndcg_at_k,
    precision,
    recall_at_k,
    reciprocal_rank,
    token_f1,
    without_markers,
)

RANKS = st.lists(st.one_of(st.none(), st.integers(1, 40)), max_size=12)
TEXTS = st.text(alphabet="ab 19.theTHE[]é", max_size=30)


def test_recall_and_reciprocal_rank_by_hand():
    ranks = [2, None, 7, 11]
    assert [recall_at_k(ranks, k) for k in (1, 2, 7, 10, 11)] == [0.0, 0.25, 0.5, 0.5, 0.75]
    assert reciprocal_rank(ranks) == 0.5
    assert reciprocal_rank([None]) == reciprocal_rank([]) == recall_at_k([], 5) == 0.0


def test_ndcg_by_hand():
    gain = 3 / math.log2(2) + 1 / math.log2(4)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at_k([1, 3, None], [3, 1, 2]) == pytest.approx(gain / best)
    assert ndcg_at_k([1, 3, 2], [3, 1, 2]) == pytest.approx(1.0)
    assert ndcg_at_k([11], [1]) == 0.0
    assert ndcg_at_k([4], [1]) == pytest.approx(1 / math.log2(5))


def test_two_things_that_share_a_rank_are_both_found_at_the_best_places():
    assert ndcg_at_k([1, 1], [1, 1]) == pytest.approx(1.0)
    assert ndcg_at_k([2, 2], [1, 1]) == pytest.approx(ndcg_at_k([2, 3], [1, 1]))


@pytest.mark.parametrize("seed", range(20))
def test_ndcg_agrees_with_scikit_learn(seed):
    draw = random.Random(seed)
    grades = [draw.choice([0, 0, 0, 1, 2, 3]) for _ in range(30)]
    grades[draw.randrange(30)] = 2
    order = draw.sample(range(30), 30)
    place = {document: rank for rank, document in enumerate(order, start=1)}
    wanted = [document for document in range(30) if grades[document]]
    expected = ndcg_score([grades], [[-place[document] for document in range(30)]], k=10)
    assert ndcg_at_k([place[d] for d in wanted], [grades[d] for d in wanted]) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(RANKS)
def test_retrieval_figures_stay_in_bounds_and_recall_grows_with_k(ranks):
    recalls = [recall_at_k(ranks, k) for k in range(1, 45)]
    assert all(0 <= value <= 1 for value in recalls)
    assert recalls == sorted(recalls)
    assert 0 <= reciprocal_rank(ranks) <= 1
    assert 0 <= ndcg_at_k(ranks, [1 + i % 3 for i in range(len(ranks))]) <= 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=8, unique=True), st.data())
def test_something_found_higher_is_never_worse(ranks, data):
    better = list(ranks)
    at = data.draw(st.integers(0, len(ranks) - 1))
    better[at] -= 1
    grades = [1 + i % 3 for i in range(len(ranks))]
    if better[at] not in ranks:
        assert ndcg_at_k(better, grades) >= ndcg_at_k(ranks, grades) - 1e-12
    assert reciprocal_rank(better) >= reciprocal_rank(ranks)
    assert recall_at_k(better, 5) >= recall_at_k(ranks, 5)


def test_normalisation_is_that_of_squad():
    assert normalized("  The  Cat's (an) apple,\tA-B! ") == "cats apple ab"
    assert normalized("another theory") == "another theory"


def test_token_f1_by_hand():
    # said: cat sat on mat (4 words), wanted: cat sat (2): precision 1/2, recall 1, F1 2/3
    assert token_f1("The cat sat on the mat.", ["A cat sat"]) == pytest.approx(2 / 3)
    assert token_f1("cat cat dog", ["cat"]) == pytest.approx(2 * (1 / 3) * 1 / (1 / 3 + 1))
    assert token_f1("900 euros", ["nothing", "900 euros!"]) == 1.0
    assert token_f1("dog", ["cat"]) == token_f1("", ["cat"]) == token_f1("cat", []) == 0.0
    assert token_f1("the", ["a"]) == 1.0


def test_an_answer_is_contained_word_by_word():
    assert contains_answer("It is due on the Third of June.", ["third of june"])
    assert contains_answer("I said: 9.", ["8", "9"])
    assert not contains_answer("It was 19.", ["9"])
    assert not contains_answer("Anything at all.", ["the", "!"])
    assert not contains_answer("Anything at all.", [])


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_answer_figures_stay_in_bounds(said, answers):
    assert 0 <= token_f1(said, answers) <= 1
    assert token_f1(answers[0], answers) == 1.0
    if contains_answer(said, answers):
        assert token_f1(said, answers) > 0


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_normalising_twice_changes_nothing_of_the_words(text):
    assert normalized(normalized(text)) == normalized(text)


def test_markers_are_no_words_of_an_answer():
    assert without_markers("It rains [1]. It snows [2][13].") == "It rains. It snows."


def test_precision_of_nothing_is_no_figure():
    assert precision([]) is None
    assert precision([True, False, True, True]) == 0.75


def test_wilson_by_hand():
    # z = 1.959964, n = 10, p = 0.8
    z, n, p = 1.959963984540054, 10, 0.8
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = share(8, 10)
    assert (found.value, found.count) == (0.8, 10)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    assert mean([1, 0, 1, 1, 1, 1, 0, 1, 1, 1]) == found


def test_the_bootstrap_is_seeded_and_near_the_normal_interval():
    values = np.random.default_rng(3).normal(0.5, 0.1, 400).tolist()
    found = mean(values, seed=7)
    assert found == mean(values, seed=7) != mean(values, seed=8)
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    assert found.low == pytest.approx(found.value - half, abs=0.3 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.3 * half)


def test_a_single_value_and_equal_values_have_intervals_without_warnings():
    assert (mean([0.3]).low, mean([0.3]).high) == (0.3, 0.3)
    assert mean([0.25] * 8).high == 0.25
    assert difference([1, 0, 1], [1, 0, 1]).low == 0.0


def test_pairing_sees_a_small_change_that_lies_in_every_question():
    draw = np.random.default_rng(1)
    first = draw.uniform(0, 0.9, 60)
    second = first + draw.uniform(0.01, 0.03, 60)
    paired = difference(first.tolist(), second.tolist())
    assert 0.01 < paired.low < paired.value < paired.high < 0.03
    assert mean(first.tolist()).high > mean(second.tolist()).low  # apart, the two could be the same
    with pytest.raises(ValueError, match="argument"):
        difference([1.0], [1.0, 0.0])
