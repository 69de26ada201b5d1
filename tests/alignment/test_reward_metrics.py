"""Figures of a reward model, on scores whose figures are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.reward_metrics import (
    Scored,
    accuracy,
    ambiguous,
    calibration_error,
    contradicted,
    correlation,
    figures,
    pairs_of,
    reliability,
)


def pair(margin, lengths=(3, 4)):
    return Scored((margin, 0.0), (1, 2), lengths)


def logit(probability):
    return math.log(probability / (1 - probability))


def test_accuracy_of_pairs_has_wilsons_interval():
    found = figures([pair(1.0)] * 8 + [pair(-1.0)] * 2)
    assert (found.accuracy.value, found.pairs, found.prompts) == (0.8, 10, 10)
    assert found.accuracy.low == pytest.approx(0.4902, abs=1e-3)
    assert found.accuracy.high == pytest.approx(0.9433, abs=1e-3)


def test_each_prompt_counts_once():
    ranking = Scored((3.0, 2.0, 1.0), (1, 2, 3), (1, 1, 1))  # three pairs, all right
    assert accuracy(pairs_of([ranking, pair(-1.0)])).value == 0.5
    assert figures([ranking, pair(-1.0)]).margin == pytest.approx(((1 + 2 + 1) / 3 - 1) / 2)


def test_equal_scores_are_half_right_and_at_chance():
    found = figures([pair(0.0)] * 4)
    assert found.accuracy.value == 0.5 and found.log_loss == pytest.approx(math.log(2))


def test_log_loss_by_hand():
    assert figures([pair(2.0), pair(-1.0)]).log_loss == pytest.approx(
        (math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2
    )


def test_calibrated_scores_have_no_calibration_error_and_sure_ones_have():
    """Guo et al. 2017: where 0.75 is said, three of four come true."""
    calibrated = [pair(logit(0.75))] * 3 + [pair(-logit(0.75))]
    curve = reliability(pairs_of(calibrated))
    assert len(curve) == 1 and curve[0].count == 4
    assert calibration_error(curve) == pytest.approx(0, abs=1e-9)
    sure = [pair(logit(0.99))] * 3 + [pair(-logit(0.99))]
    assert figures(sure).ece == pytest.approx(0.99 - 0.75)


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=40))
def test_every_pair_is_in_one_bin_of_the_curve(margins):
    curve = reliability(pairs_of([pair(margin) for margin in margins]))
    assert sum(found.count for found in curve) == len(margins)
    assert all(found.low - 1e-9 <= found.confidence <= found.high + 1e-9 for found in curve)
    assert 0 <= calibration_error(curve) <= 1


def test_a_score_that_is_length_is_found_out():
    rows = [Scored((float(a), float(b)), (1, 2), (a, b)) for a, b in [(3, 9), (12, 4), (5, 6), (8, 20)]]
    found = figures(rows).length
    assert found.pearson == pytest.approx(1) and found.spearman == pytest.approx(1)
    assert found.within_prompt == pytest.approx(1)
    assert found.longer_scored_higher == 1 and found.longer_is_better == 0.25


def test_no_correlation_is_said_where_nothing_varies():
    assert correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert figures([pair(1.0, (5, 5))]).length.longer_scored_higher is None


def test_ambiguous_and_contradicted_pairs_are_listed():
    pairs = pairs_of([pair(m) for m in (5.0, -0.1, 0.01, -7.0, -2.0)])
    assert [p.prompt for p in ambiguous(pairs, 2)] == [2, 1]
    assert [p.prompt for p in contradicted(pairs, 2)] == [3, 4]
