"""What a step learns from, fixed before its first optimizer step: old log-probabilities, values, advantages, returns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alignment.ppo_config import PPOConfig
from alignment.ppo_critic import Predictions, Reference
from alignment.ppo_losses import (
    Reduce,
    advantages_and_returns,
    alone,
    explained_variance,
    log_ratio_kl,
    masked_mean,
    masked_whiten,
    token_rewards,
)
from alignment.ppo_rollout import Rollout


@dataclass(frozen=True, slots=True)
class Experience:
    """B episodes; `ids` and `mask` are (B, P + T), the others (B, T)."""

    ids: Tensor
    mask: Tensor
    weights: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def rows(self, index: Tensor) -> Experience:
        """Some episodes."""
        return Experience(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))


@torch.no_grad()
def make_experience(
    model: Any,
    reference: Reference,
    rollout: Rollout,
    scores: Tensor,
    config: PPOConfig,
    kl_coef: float,
    reduce: Reduce = alone,
) -> tuple[Experience, dict[str, Tensor]]:
    """Score a rollout with the policy, the reference and the critic as they are now.

    Args:
        model: the `ActorCritic`, wrapped or not.
        scores: (B,), each episode's reward.

    Returns:
        The experience, and scalars over all processes: kl (nats an episode), entropy, explained_variance, and others.
    """
    old, ref_logprobs = _predict(model, reference, rollout, config)
    assert old.values is not None  # noqa: S101  # for the type checker
    live, weights = rollout.live, rollout.live * rollout.weights.unsqueeze(1)
    values = old.values
    penalty = config.missing_eos_penalty or 0.0
    # Ziegler et al. 2019 and Stiennon et al. 2020: a response that does not end is worth less ("EOS trick" of N+).
    shaped = torch.where(rollout.ended, scores, scores - penalty)
    kl = log_ratio_kl(old.logprobs, ref_logprobs, config.kl_estimator)
    rewards = token_rewards(shaped, kl, live, kl_coef)
    if config.whiten_rewards:
        rewards = masked_whiten(rewards, weights, shift_mean=False, reduce=reduce)
    advantages, returns = advantages_and_returns(rewards, values, live, config.gamma, config.lam)
    explained = explained_variance(values, returns, weights, reduce)
    if config.whiten_advantages:
        advantages = masked_whiten(advantages, weights, reduce=reduce)
    experience = Experience(rollout.ids, rollout.mask, weights, old.logprobs, values, advantages, returns)
    figures = {
        "kl": masked_mean(((old.logprobs - ref_logprobs) * live).sum(1), rollout.weights, reduce),
        "entropy": masked_mean(old.entropy, weights, reduce),
        "explained_variance": explained,
        "value": masked_mean(values, weights, reduce),
        "response_length": masked_mean(live.sum(1).to(weights.dtype), rollout.weights, reduce),
        "eos_share": masked_mean(rollout.ended.to(weights.dtype), rollout.weights, reduce),
    }
    return experience, figures


def _predict(model: Any, reference: Reference, rollout: Rollout, config: PPOConfig) -> tuple[Predictions, Tensor]:
    """The policy's and critic's predictions, and the reference's log-probabilities, a part of the batch at a time."""
    ids, mask, width = rollout.ids, rollout.mask, rollout.live.shape[1]
    size = config.local_rollout_forward_batch_size
    found: list[Predictions] = []
    referred: list[Tensor] = []
    for part, part_mask in zip(ids.split(size), mask.split(size), strict=True):
        found.append(model(part, part_mask, width, config.temperature))
        referred.append(reference.logprobs(part, part_mask, width, config.temperature))
    joined = [torch.cat([getattr(one, name) for one in found]) for name in Predictions._fields]
    return Predictions(*joined), torch.cat(referred)
