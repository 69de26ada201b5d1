"""A step's passes over its experience: minibatches, micro-batches, clipped losses, one optimizer step a minibatch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from alignment.ppo_config import PPOConfig
from alignment.ppo_experience import Experience
from alignment.ppo_losses import approx_kl, clipped, policy_losses, value_losses
from decoder.errors import Diverged

FIGURES = ("loss", "policy_loss", "value_loss", "approx_kl", "clip_fraction")


def update(
    model: Any,
    optimizer: Any,
    accelerator: Any,
    experience: Experience,
    config: PPOConfig,
    step: int,
    rows: Sequence[int] = (),
) -> dict[str, float]:
    """`num_ppo_epochs` passes, cut short when the policy has moved by `target_kl`.

    Args:
        model, optimizer: as `accelerator.prepare` gave them.
        rows: the data's rows that the episodes came from, to be named in errors.

    Returns:
        Means over the minibatches of `FIGURES` and grad_norm, and how many optimizer steps were made.

    Raises:
        Diverged: a loss or a gradient is no number; no optimizer step is made with it.
    """
    made: list[dict[str, float]] = []
    model.train()
    for _ in range(config.num_ppo_epochs):
        order = torch.randperm(len(experience.ids))
        for index in order.chunk(config.num_mini_batches):
            figures = _gradients(model, accelerator, experience, index, config)
            if config.target_kl is not None and figures["approx_kl"] > config.target_kl:
                optimizer.zero_grad()
                return _means(made)
            limit = config.max_grad_norm if config.max_grad_norm else math.inf
            norm = float(accelerator.clip_grad_norm_(model.parameters(), limit))
            figures["grad_norm"] = norm
            # Half precision skips a step whose gradients overflow by itself, and lowers its scale.
            wrong = accelerator.scaler is None and not math.isfinite(norm)
            if wrong or not math.isfinite(figures["loss"]):
                optimizer.zero_grad()
                _refuse(figures, step, len(made), [rows[i] for i in index.tolist()] if rows else [])
            optimizer.step()
            optimizer.zero_grad()
            made.append(figures)
    return _means(made)


def _gradients(
    model: Any, accelerator: Any, experience: Experience, index: Tensor, config: PPOConfig
) -> dict[str, float]:
    """Add up a minibatch's gradients, a micro-batch at a time, and return its `FIGURES` over all processes.

    Every live token of the minibatch counts the same, in whichever micro-batch and process it is.
    """
    parts = torch.split(index, config.per_device_train_batch_size)
    count = accelerator.reduce(experience.weights[index].sum(), reduction="sum")
    # accelerate divides by the micro-batches, and the processes' gradients are averaged.
    scale = len(parts) * accelerator.num_processes / count
    sums = torch.zeros(len(FIGURES), device=count.device, dtype=count.dtype)
    for part in parts:
        with accelerator.accumulate(model):
            batch = experience.rows(part)
            figures = _sums(model, batch, config)
            accelerator.backward(figures[0] * scale)
            sums += figures.detach()
    means = accelerator.reduce(sums, reduction="sum") / count
    return dict(zip(FIGURES, means.tolist(), strict=True))


def _sums(model: Any, batch: Experience, config: PPOConfig) -> Tensor:
    """`FIGURES`, each summed over the live tokens of a micro-batch."""
    width = batch.logprobs.shape[1]
    new = model(batch.ids, batch.mask, width, config.temperature)
    # At padding a ratio may be anything, infinite too, and 0 times infinity is no number: there it is 1.
    logprobs = torch.where(batch.weights > 0, new.logprobs, batch.logprobs)
    policy = policy_losses(logprobs, batch.logprobs, batch.advantages, config.cliprange)
    value = value_losses(new.values, batch.values, batch.returns, config.cliprange_value)
    moved = approx_kl(logprobs, batch.logprobs)
    outside = clipped(logprobs, batch.logprobs, config.cliprange)
    each = torch.stack([policy + config.vf_coef * value, policy, value, moved, outside])
    return (each * batch.weights).sum((1, 2))


def _means(made: list[dict[str, float]]) -> dict[str, float]:
    names = (*FIGURES, "grad_norm")
    means = {name: sum(one[name] for one in made) / len(made) for name in names} if made else {}
    return {**means, "optimizer_steps": float(len(made))}


def _refuse(figures: dict[str, float], step: int, minibatch: int, rows: list[int]) -> None:
    named = f", rows {', '.join(map(str, sorted(rows)[:16]))} of the data" if rows else ""
    said = ", ".join(f"{name} {figures[name]}" for name in ("loss", "grad_norm"))
    cause = f"step {step}, minibatch {minibatch}{named}: {said}"
    error = Diverged("training", cause, "Lower training.learning_rate, or look at the rewards of those rows")
    error.rows = tuple(sorted(set(rows)))
    raise error
