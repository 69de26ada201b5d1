"""PPO's arithmetic against slow and obvious references."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PPO's arithmetic is on tensors")

from alignment.ppo_losses import (
    advantages_and_returns,
    approx_kl,
    clipped,
    explained_variance,
    log_ratio_kl,
    masked_mean,
    masked_whiten,
    policy_losses,
    token_rewards,
    value_losses,
)

figures = st.floats(-3, 3, width=32)


@st.composite
def batches(draw, columns=2):
    """Live tokens of up to four episodes of up to five tokens, and columns of figures, also where nothing is live."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    lengths = [draw(st.integers(1, width)) for _ in range(count)]
    live = torch.tensor([[t < length for t in range(width)] for length in lengths])
    table = st.lists(st.lists(figures, min_size=width, max_size=width), min_size=count, max_size=count)
    return live, *(torch.tensor(draw(table), dtype=torch.float64) for _ in range(columns))


def slow_gae(rewards, values, gamma, lam):
    """One episode, from equation 16 of Schulman et al. 2016."""
    following = [*values[1:], 0.0]
    deltas = [r + gamma * after - v for r, v, after in zip(rewards, values, following, strict=True)]
    return [sum((gamma * lam) ** (s - t) * deltas[s] for s in range(t, len(deltas))) for t in range(len(deltas))]


@settings(max_examples=100, deadline=None)
@given(batches(), st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_those_of_the_definition_and_padding_has_none(batch, gamma, lam):
    live, rewards, values = batch
    advantages, returns = advantages_and_returns(rewards * live, values, live, gamma, lam)
    for row in range(len(live)):
        length = int(live[row].sum())
        expected = slow_gae(rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, lam)
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-9)
        assert (returns - advantages)[row, :length].tolist() == pytest.approx(values[row, :length].tolist(), abs=1e-9)
        assert not advantages[row, length:].any() and not returns[row, length:].any()


@given(batches(1))
def test_the_score_comes_with_the_last_live_token_and_the_kl_with_each(batch):
    live, kl = batch
    scores = torch.arange(1.0, len(live) + 1, dtype=torch.float64)
    rewards = token_rewards(scores, kl, live, 0.5)
    assert rewards.sum(1).tolist() == pytest.approx((scores - 0.5 * (kl * live).sum(1)).tolist())
    for row in range(len(live)):
        last = int(live[row].sum()) - 1
        assert float(rewards[row, last]) == pytest.approx(float(scores[row] - 0.5 * kl[row, last]))
        assert not rewards[row, last + 1 :].any()


@given(batches(1))
def test_whitened_figures_have_mean_0_and_variance_1_over_live_tokens_whatever_the_padding_holds(batch):
    live, values = batch
    weights = live.double()
    inside = values[live]
    whitened = masked_whiten(values, weights)
    if float(inside.var(unbiased=False)) > 1e-3:
        assert float(whitened[live].mean()) == pytest.approx(0, abs=1e-6)
        assert float(whitened[live].var(unbiased=False)) == pytest.approx(1, abs=1e-3)
        kept = masked_whiten(values, weights, shift_mean=False)
        assert float(kept[live].mean()) == pytest.approx(float(inside.mean()), abs=1e-6)
    other = torch.where(live, values, torch.full_like(values, 1e6))
    assert torch.equal(masked_whiten(other, weights), whitened)
    assert not whitened[~live].any()


def test_a_mean_is_that_of_all_processes():
    both = torch.tensor([10.0, 4.0])  # the sum and the count of two processes
    assert float(masked_mean(torch.tensor([[3.0]]), torch.ones(1, 1), reduce=lambda _: both)) == 2.5


def test_the_policy_loss_is_the_worse_of_the_clipped_and_the_plain_one():
    old = torch.zeros(1, 4)
    new = torch.tensor([[1.5, 1.5, 0.5, 0.5]]).log()
    advantages = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    losses = policy_losses(new, old, advantages, 0.2)
    assert losses.tolist()[0] == pytest.approx([-1.2, 1.5, -0.5, 0.8])
    assert clipped(new, old, 0.2).tolist() == [[1, 1, 1, 1]] and clipped(new, old, 0.6).tolist() == [[0, 0, 0, 0]]


def test_the_value_loss_does_not_reward_a_leap():
    old, returns = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    leaped, crept = value_losses(torch.tensor([[1.0, 0.1]]), old, returns, 0.2)[0].tolist()
    assert leaped == pytest.approx(0.5 * 0.8**2), "it counts as if it had moved by the clip range alone"
    assert crept == pytest.approx(0.5 * 0.9**2)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_estimates_of_the_kl(differences):
    ours = torch.tensor(differences, dtype=torch.float64)
    theirs = torch.zeros_like(ours)
    assert torch.equal(log_ratio_kl(ours, theirs), ours)
    assert (log_ratio_kl(ours, theirs, "k3") >= 0).all() and (approx_kl(ours, theirs) >= 0).all()


def test_all_estimates_agree_with_the_kl_in_expectation():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
    kl = float((p * (p / q).log()).sum())
    assert float((p * log_ratio_kl(p.log(), q.log())).sum()) == pytest.approx(kl)
    assert float((p * log_ratio_kl(p.log(), q.log(), "k3")).sum()) == pytest.approx(kl)
    assert float((p * approx_kl(q.log(), p.log())).sum()) == pytest.approx(kl), "old || new, from the old one's tokens"


def test_explained_variance():
    returns, ones = torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3)
    assert float(explained_variance(returns, returns, ones)) == pytest.approx(1)
    assert float(explained_variance(torch.full((1, 3), 2.0), returns, ones)) == pytest.approx(0)
    assert float(explained_variance(-returns, returns, ones)) < 0
    assert math.isfinite(float(explained_variance(returns, torch.ones(1, 3), ones))), "returns that are all the same"
