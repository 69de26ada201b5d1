"""How many optimizer steps a run will make, counted as transformers and TRL count them."""

from __future__ import annotations

import math
from typing import Any


def count_steps(stage: str, args: Any, rows: int, tokens: int) -> int:
    """Optimizer steps (of PPO: steps of the run, each a rollout and its passes).

    Args:
        stage: the recipe's.
        args: its training arguments.
        rows: that are trained on.
        tokens: of all of them; what counts when rows are packed.
    """
    if args.max_steps > 0:
        return int(args.max_steps)
    processes = int(getattr(args, "world_size", 1))
    if stage == "ppo":
        return max(math.ceil(float(args.num_train_epochs) * rows / int(args.episodes * processes)), 1)
    batches = _batches(stage, args, rows, tokens, processes)
    an_epoch = max(math.ceil(batches / int(args.gradient_accumulation_steps)), 1)
    return math.ceil(float(args.num_train_epochs) * an_epoch)


def is_packed(args: Any) -> bool:
    """Whether several rows share a sequence, so that the number of steps is an estimate."""
    return bool(getattr(args, "packing", False))


def _batches(stage: str, args: Any, rows: int, tokens: int, processes: int) -> int:
    """Micro-batches of one process in an epoch."""
    size = int(args.per_device_train_batch_size)
    if stage in ("grpo", "rloo"):
        # RepeatSampler: whole groups of prompts alone, each group's completions used `num_iterations` times.
        prompts = args.generation_batch_size // args.num_generations
        return int((rows // prompts) * args.steps_per_generation * getattr(args, "num_iterations", 1))
    if is_packed(args):
        rows = max(math.ceil(tokens / int(args.max_length)), 1)
    return math.ceil(rows / (size * processes))
