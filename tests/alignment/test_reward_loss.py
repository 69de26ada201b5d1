"""The loss over rankings is InstructGPT's: by hand, by its gradient, and by what it must not depend on."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignment.reward_loss import ranked_pairs, ranking_loss

RANKS = st.lists(st.integers(1, 6), min_size=2, max_size=7)
SCORE = st.floats(-20, 20)


def loss_of(prompts, center=None, dtype=torch.float32):
    """`prompts`: (scores, ranks) of each."""
    scores, pairs, weights = [], [], []
    for values, ranks in prompts:
        found = ranked_pairs(ranks)
        pairs += [(len(scores) + better, len(scores) + worse) for better, worse in found]
        weights += [1 / len(found)] * len(found)
        scores += values
    return ranking_loss(torch.tensor(scores, dtype=dtype), torch.tensor(pairs), torch.tensor(weights), center)


def softplus(x):
    return math.log1p(math.exp(x))


def test_three_responses_give_three_pairs_and_a_tie_gives_none():
    assert ranked_pairs([2, 1, 3]) == [(0, 2), (1, 0), (1, 2)]
    assert ranked_pairs([1, 2, 2]) == [(0, 1), (0, 2)]
    assert ranked_pairs([1, 1]) == []


@given(RANKS)
def test_each_pair_of_unlike_ranks_is_there_once_the_better_first(ranks):
    pairs = ranked_pairs(ranks)
    unlike = {frozenset((i, j)) for i in range(len(ranks)) for j in range(i) if ranks[i] != ranks[j]}
    assert len(pairs) == len(unlike) and {frozenset(pair) for pair in pairs} == unlike
    assert all(ranks[better] < ranks[worse] for better, worse in pairs)


def test_one_prompt_of_three_by_hand():
    """Best 2.0, middle 0.5, worst -1.0: differences 1.5, 3.0 and 1.5."""
    expected = (softplus(-1.5) + softplus(-3.0) + softplus(-1.5)) / 3
    assert loss_of([([0.5, 2.0, -1.0], [2, 1, 3])]).item() == pytest.approx(expected, abs=1e-6)


def test_each_prompt_counts_once_however_many_pairs_it_has():
    three, pair = ([0.5, 2.0, -1.0], [2, 1, 3]), ([0.0, 0.7], [1, 2])
    expected = (loss_of([three]) + loss_of([pair])) / 2
    assert loss_of([three, pair]).item() == pytest.approx(expected.item(), abs=1e-6)
    assert loss_of([pair]).item() == pytest.approx(softplus(0.7), abs=1e-6)


def test_centring_adds_the_square_of_the_sum_of_a_pair():
    plain, centred = loss_of([([1.0, 0.5], [1, 2])]), loss_of([([1.0, 0.5], [1, 2])], center=0.1)
    assert (centred - plain).item() == pytest.approx(0.1 * 1.5**2, abs=1e-6)


@given(st.lists(st.tuples(SCORE, st.integers(1, 4)), min_size=2, max_size=6), st.randoms(), st.floats(-50, 50))
def test_order_of_responses_and_a_constant_do_not_matter(rows, random, constant):
    if not ranked_pairs([rank for _, rank in rows]):
        return
    before = loss_of([([s for s, _ in rows], [r for _, r in rows])]).item()
    random.shuffle(rows)
    after = loss_of([([s + constant for s, _ in rows], [r for _, r in rows])]).item()
    assert after == pytest.approx(before, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("center", [None, 0.05])
def test_the_gradient_is_that_of_finite_differences(center):
    ranks, step = [2, 1, 3, 3], 1e-3
    values = [0.3, -0.2, 0.9, -1.1]
    scores = torch.tensor(values, requires_grad=True)
    found = ranked_pairs(ranks)
    ranking_loss(scores, torch.tensor(found), torch.full((len(found),), 1 / len(found)), center).backward()
    for index in range(len(values)):
        high, low = ([v + sign * step * (i == index) for i, v in enumerate(values)] for sign in (1, -1))
        slope = (loss_of([(high, ranks)], center) - loss_of([(low, ranks)], center)).item() / (2 * step)
        assert scores.grad[index].item() == pytest.approx(slope, abs=2e-4)
    if center is None:
        assert scores.grad.sum().item() == pytest.approx(0, abs=1e-6)  # a constant changes nothing


def test_the_gradient_of_a_ranking_is_the_mean_of_that_of_its_pairs():
    """K responses at once are their K(K-1)/2 pairs one by one, in one forward in place of K(K-1)."""
    values, ranks = [0.4, -0.7, 1.3, 0.1], [3, 1, 2, 4]
    whole = torch.tensor(values, requires_grad=True)
    pairs = ranked_pairs(ranks)
    ranking_loss(whole, torch.tensor(pairs), torch.full((6,), 1 / 6)).backward()
    apart = torch.tensor(values, requires_grad=True)
    for pair in pairs:
        (ranking_loss(apart, torch.tensor([pair]), torch.ones(1)) / len(pairs)).backward()
    assert torch.allclose(whole.grad, apart.grad, atol=1e-7)


def test_the_loss_of_scores_in_half_precision_has_all_its_digits():
    """bfloat16 would say 0.3125."""
    loss = loss_of([([2.0, 1.0], [1, 2])], dtype=torch.bfloat16)
    assert loss.item() == pytest.approx(softplus(-1.0), abs=1e-6)
