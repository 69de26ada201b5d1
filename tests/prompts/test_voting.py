"""Votes and stopping rules by hand, and against scipy's Beta distribution."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from decoder.errors import UsageError
from prompts.stopping import NEVER, Stopping, gain, leads, verdict
from prompts.voting import Ballot, tally

B = Ballot
ONLY_SURE = Stopping(unanimous=False, sure=0.95, worth=None, settled=False)
BALLOTS = st.lists(
    st.builds(Ballot, st.sampled_from("abcd"), st.just(""), st.floats(-30, 0), st.floats(0, 1)), min_size=1, max_size=30
)


def keys(votes):
    return [vote.key for vote in votes]


def votes(*counts):
    return tally([B(f"{at}") for at, count in enumerate(counts) for _ in range(count)])


# Votes


def test_the_majority_wins_and_votes_are_told_with_their_shares():
    found = tally([B("7", "7 eggs"), B("8"), B("7"), B("9")])
    assert keys(found) == ["7", "8", "9"]
    assert (found[0].text, found[0].count, found[0].weight, found[0].share) == ("7 eggs", 2, 2.0, 0.5)
    assert tally([]) == ()


def test_a_tie_goes_to_the_answer_that_came_first():
    assert keys(tally([B("b"), B("a"), B("a"), B("b")])) == ["b", "a"]


def test_probable_samples_outweigh_many_improbable_ones():
    ballots = [B("x", logprob=math.log(0.1))] * 3 + [B("y", logprob=math.log(0.5))]
    assert keys(tally(ballots)) == ["x", "y"]
    found = tally(ballots, "logprob")
    assert keys(found) == ["y", "x"]
    assert [vote.weight for vote in found] == pytest.approx([0.5, 0.3])


def test_hopelessly_improbable_samples_still_vote():
    found = tally([B("x", logprob=-2000.0), B("y", logprob=-1999.0)], "logprob")
    assert keys(found) == ["y", "x"]
    assert found[0].share == pytest.approx(1 / (1 + math.exp(-1)))


def test_confident_samples_outweigh_many_unsure_ones_as_the_temperature_says():
    ballots = [B("x", confidence=0.2)] * 3 + [B("y", confidence=0.9)]
    weight = math.exp(0.7 / 0.5)
    found = tally(ballots, "confidence", temperature=0.5)
    assert keys(found) == ["y", "x"]
    assert found[0].share == pytest.approx(weight / (weight + 3))
    assert keys(tally(ballots, "confidence", temperature=10)) == ["x", "y"]


@pytest.mark.parametrize(
    ("ballots", "method", "temperature", "reason"),
    [
        ([B("x")], "logprob", 1, "no log-probability"),
        ([B("x", confidence=0.5), B("y")], "confidence", 1, "no confidence"),
        ([B("x", confidence=0.5)], "confidence", 0, "not above 0"),
        ([B("x")], "plurality", 1, "no method"),
    ],
)
def test_what_cannot_be_weighed(ballots, method, temperature, reason):
    with pytest.raises(UsageError, match=reason):
        tally(ballots, method, temperature)


@settings(max_examples=150, deadline=None)
@given(BALLOTS, st.sampled_from(["majority", "logprob", "confidence"]))
def test_shares_add_up_and_fall(ballots, method):
    found = tally(ballots, method)
    assert sum(vote.share for vote in found) == pytest.approx(1)
    assert sum(vote.count for vote in found) == len(ballots)
    assert [vote.share for vote in found] == pytest.approx(sorted((v.share for v in found), reverse=True))


@settings(max_examples=150, deadline=None)
@given(BALLOTS, st.randoms())
def test_the_order_of_the_samples_decides_ties_alone(ballots, chance):
    shuffled = list(ballots)
    chance.shuffle(shuffled)
    for method in ("majority", "logprob", "confidence"):
        one, other = tally(ballots, method), tally(shuffled, method)
        assert one[0].share == pytest.approx(other[0].share)


# Rules


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (4, 0), (5, 2), (20, 19), (30, 10), (3, 7)])
def test_the_beta_rule_is_that_of_the_distribution(first, second):
    assert leads(first, second) == pytest.approx(1 - beta(first + 1, second + 1).cdf(0.5))


@pytest.mark.parametrize(("first", "second", "others"), [(1, 0, 0), (4, 1, 0), (5, 5, 3), (12, 9, 10), (30, 2, 0)])
def test_the_worth_of_more_samples_is_the_integral(first, second, others):
    density = beta(first + 1, second + 1).pdf
    expected = quad(lambda p: (1 - 2 * p) * density(p), 0, 0.5)[0] * (first + second) / (first + second + others)
    assert gain(first, second, others) == pytest.approx(expected)


def test_four_of_four_are_sure_enough_and_three_are_not():
    assert verdict(ONLY_SURE, votes(3), ["0"] * 3, 37) is None
    assert verdict(ONLY_SURE, votes(4), ["0"] * 4, 36) == "sure"
    assert verdict(ONLY_SURE, votes(8, 3), ["0"], 29) is None
    assert verdict(ONLY_SURE, votes(9, 3), ["0"], 28) == "sure"


def test_a_window_is_unanimous_when_all_of_it_can_be_read_and_agrees():
    rules = Stopping(window=3, sure=None, worth=None, settled=False)
    assert verdict(rules, votes(3), ["0", "0", "0"], 5) == "unanimous"
    assert verdict(rules, votes(3, 1), ["0", "0", "1"], 5) is None
    assert verdict(rules, votes(2), ["0", None, "0"], 5) is None
    assert verdict(rules, votes(2), ["0", "0"], 5) is None  # a step, and no window
    assert verdict(rules, votes(4, 3), ["1", "1", "1"], 5) is None  # a window for another answer than all samples'


def test_what_cannot_change_is_settled_and_what_nobody_can_decide_is_not_worth_more():
    rules = Stopping(sure=None, worth=None, unanimous=False)
    assert verdict(rules, votes(6, 3), ["0"], 3) is None
    assert verdict(rules, votes(6, 3), ["0"], 2) == "settled"
    assert verdict(rules, votes(6, 3), ["0"], 2, most=None) is None
    rules = Stopping(sure=None, settled=False, unanimous=False, worth=0.05)
    assert verdict(rules, votes(2, 2), ["0"], 30) is None
    assert verdict(rules, votes(5, 5, *[1] * 20), ["0"], 30) == "worth"


def test_without_rules_every_sample_is_drawn():
    assert verdict(NEVER, votes(39), ["0"] * 4, 1) is None
    assert verdict(NEVER, votes(40), ["0"] * 4, 0) == "all"
    assert verdict(Stopping(), (), [None] * 4, 4) is None


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"sure": 0.5}, {"sure": 1.0}, {"tokens": 0}, {"seconds": 0}, {"worth": 0}, {"step": 0}]
)
def test_rules_that_cannot_be(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Stopping(**wrong)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_a_lead_is_a_probability_and_grows_with_it(first, second):
    assert leads(first, second) + leads(second, first) == pytest.approx(1)
    assert leads(first + 1, second) > leads(first, second)
    assert 0 <= gain(first, second) <= 1
