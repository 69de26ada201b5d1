"""PPO's arithmetic, on tensors alone: means over live tokens, rewards, advantages, two clipped losses, diagnostics.

Shapes: B episodes of at most T response tokens. `live` is (B, T), true up to and with an episode's last token.
`weights` is (B, T), 0 where not live; 1 for a sampled episode's tokens, its probability where all are enumerated.

Sources: Schulman et al. 2016 (GAE), Schulman et al. 2017 (PPO), Ziegler et al. 2019, Stiennon et al. 2020, and Huang et
al. 2024, "The N+ Implementation Details of RLHF with PPO", whose details are named where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Reduce: TypeAlias = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes."""

EPSILON = 1e-8


def alone(values: Tensor) -> Tensor:
    """The `Reduce` of a single process."""
    return values


def masked_mean(values: Tensor, weights: Tensor, reduce: Reduce = alone) -> Tensor:
    """Scalar: the mean of `values` over live tokens, of all processes; 0 when there is none."""
    sums = reduce(torch.stack([(values * weights).sum(), weights.sum()]))
    mean: Tensor = sums[0] / sums[1].clamp(min=EPSILON)
    return mean


def masked_whiten(values: Tensor, weights: Tensor, shift_mean: bool = True, reduce: Reduce = alone) -> Tensor:
    """`values` scaled to variance 1 over live tokens, with mean 0 unless `shift_mean` is false; 0 elsewhere.

    Over the whole rollout of all processes, with the population's variance. N+ details, whitening: rewards keep their
    mean, advantages do not.
    """
    mean = masked_mean(values, weights, reduce)
    variance = masked_mean((values - mean) ** 2, weights, reduce)
    whitened: Tensor = (values - mean) * torch.rsqrt(variance + EPSILON)
    return (whitened if shift_mean else whitened + mean) * (weights > 0)


def log_ratio_kl(logprobs: Tensor, ref_logprobs: Tensor, estimator: str = "k1") -> Tensor:
    """(B, T) estimates of KL(policy || reference) from tokens that the policy drew (Schulman 2020, kl-approx).

    k1 is log p - log q: inside the reward its policy gradient is exactly that of the KL. k3 is q/p - 1 - log q/p:
    never negative and of lower variance, but its gradient through the reward is not that of the KL.
    """
    difference = logprobs - ref_logprobs
    return difference if estimator == "k1" else torch.expm1(-difference) + difference


def token_rewards(scores: Tensor, kl: Tensor, live: Tensor, kl_coef: float) -> Tensor:
    """(B, T): -kl_coef times the KL at each live token, and the episode's score (B,) at its last one.

    Ziegler et al. 2019, equation 2, a token at a time as in Stiennon et al. 2020.
    """
    last = live.long().sum(1) - 1
    rewards = -kl_coef * kl * live
    return rewards.scatter_add(1, last.unsqueeze(1), scores.unsqueeze(1).to(rewards.dtype))


def advantages_and_returns(
    rewards: Tensor, values: Tensor, live: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation, and the returns that the values are fitted to; both (B, T), 0 where not live.

    Schulman et al. 2016, equation 16: A_t = sum over l of (gamma lam)^l delta_{t+l}, with
    delta_t = r_t + gamma V(s_{t+1}) - V(s_t). After an episode's last token the value is 0.
    """
    values = values * live
    following = torch.zeros_like(values[:, 0])
    advantage = torch.zeros_like(following)
    backwards = []
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        advantage = (delta + gamma * lam * advantage) * live[:, t]
        backwards.append(advantage)
        following = values[:, t]
    advantages = torch.stack(backwards[::-1], dim=1)
    return advantages, advantages + values


def policy_losses(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, cliprange: float) -> Tensor:
    """(B, T): the negative of the clipped surrogate objective. Schulman et al. 2017, equation 7."""
    ratio = torch.exp(logprobs - old_logprobs)
    clipped = ratio.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(-advantages * ratio, -advantages * clipped)


def value_losses(values: Tensor, old_values: Tensor, returns: Tensor, cliprange_value: float) -> Tensor:
    """(B, T): half the squared error, the larger of that of the value and of the value kept near the old one.

    N+ details, value function loss clipping; the clipping is that of OpenAI's baselines.
    """
    near = old_values + (values - old_values).clamp(-cliprange_value, cliprange_value)
    return 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2)


def approx_kl(logprobs: Tensor, old_logprobs: Tensor) -> Tensor:
    """(B, T) estimates of KL(old policy || new policy): r - 1 - log r, never negative (Schulman 2020)."""
    difference = logprobs - old_logprobs
    return torch.expm1(difference) - difference


def clipped(logprobs: Tensor, old_logprobs: Tensor, cliprange: float) -> Tensor:
    """(B, T): 1 where the ratio has left the clip range. Schulman et al. 2017, section 3."""
    return ((torch.exp(logprobs - old_logprobs) - 1).abs() > cliprange).to(logprobs.dtype)


def explained_variance(values: Tensor, returns: Tensor, weights: Tensor, reduce: Reduce = alone) -> Tensor:
    """Scalar: 1 - Var(returns - values) / Var(returns); 1 is perfect, 0 as good as the mean, below 0 worse."""

    def variance(of: Tensor) -> Tensor:
        return masked_mean((of - masked_mean(of, weights, reduce)) ** 2, weights, reduce)

    return 1 - variance(returns - values) / variance(returns).clamp(min=EPSILON)
