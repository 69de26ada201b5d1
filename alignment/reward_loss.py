"""The reward model's loss over rankings: all pairs of one prompt's responses in one term, as in InstructGPT.

Pure functions of scores; they know no model, no tokenizer and no trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def ranked_pairs(ranks: Sequence[int]) -> list[tuple[int, int]]:
    """All (better, worse) index pairs of K responses with these ranks, of which 1 is best; ties make no pair.

    Of K different ranks there are K(K-1)/2.
    """
    order = range(len(ranks))
    return [(better, worse) for better in order for worse in order if ranks[better] < ranks[worse]]


def ranking_loss(scores: Tensor, pairs: Tensor, weights: Tensor, center: float | None = None) -> Tensor:
    """The mean over prompts of the mean over a prompt's pairs of -log sigmoid(r_better - r_worse).

    Ouyang et al. 2022, equation 1: -1/C(K,2) E[log sigmoid(r_w - r_l)]; C(K,2) is here the number of pairs without
    ties. With K = 2 this is the loss of Bradley and Terry (1952) that TRL's RewardTrainer has. It does not change when
    all scores move by one constant, nor with the order of responses.

    Args:
        scores: (N,) one a response, of all prompts.
        pairs: (P, 2) indices into `scores`: the better, the worse.
        weights: (P,) one over the number of pairs of the pair's prompt; they add up to the number of prompts.
        center: weight of (r_better + r_worse)^2, which pulls scores to a mean of zero (Eisenstein et al. 2023,
            equation 2); None or 0 leaves them free.

    Returns:
        A scalar, in nats.
    """
    from torch.nn.functional import logsigmoid

    better, worse = paired(scores, pairs)
    loss = -weighted_mean(logsigmoid(better - worse), weights)
    return loss + center * weighted_mean((better + worse) ** 2, weights) if center else loss


def paired(scores: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the better and of the worse of each pair, both (P,).

    In float32: a loss in bfloat16 would have three digits.
    """
    scores = scores.float()
    return scores[pairs[:, 0]], scores[pairs[:, 1]]


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """A scalar: each pair counts by its weight, so that each prompt counts once however many pairs it has."""
    return (weights * values).sum() / weights.sum()
