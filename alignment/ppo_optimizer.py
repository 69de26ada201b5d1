"""The optimizer and the learning rate's schedule that the configuration names: transformers' own."""

from __future__ import annotations

import math
from typing import Any

from alignment.ppo_config import PPOConfig


def make_optimizer(model: Any, config: PPOConfig) -> Any:
    """`config.optim` over the parameters that are trained; biases and norms are not decayed."""
    from transformers import Trainer

    cls, arguments = Trainer.get_optimizer_cls_and_kwargs(config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return cls([group for group in groups if group["params"]], **arguments)


def make_schedule(optimizer: Any, config: PPOConfig, steps: int) -> Any:
    """`config.lr_scheduler_type` over the steps of the run."""
    from transformers import get_scheduler

    return get_scheduler(
        config.lr_scheduler_type,
        optimizer,
        num_warmup_steps=config.get_warmup_steps(steps),
        num_training_steps=steps,
        scheduler_specific_kwargs=config.lr_scheduler_kwargs or None,
    )


def every(value: float | None, steps: int) -> int:
    """`logging_steps` and its like as a number of steps; below 1 they are a share of the run."""
    if not value:
        return 0
    return max(1, math.ceil(value * steps)) if value < 1 else int(value)
