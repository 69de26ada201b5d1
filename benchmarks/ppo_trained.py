"""How near a trained policy comes to the best one, where the best one is known: `python -m benchmarks.ppo_trained`.

On the toy of ppo_toy.py the best policy is pi*(y) ~ ref(y) exp(r(y) / beta). A run of PPOTrainer on samples
counts as right when it has gained at least 0.98 of J* - J_ref and its KL to pi* is at most 0.1 nats.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import ppo_toy as toy

BETA, TEMPERATURE = 0.5, 0.8
SHARE, KL = 0.98, 0.1


def train(seed: int, folder: Path, **changed: Any) -> toy.Solution:
    """Train on the toy and hold the result against the best policy."""
    from alignment.ppo_config import PPOConfig
    from alignment.ppo_critic import ActorCritic
    from alignment.ppo_models import Models
    from alignment.ppo_trainer import PPOTrainer
    from alignment.reward_sources import checked
    from decoder.runs.folder import RunFolder

    values = {
        "max_steps": 36,
        "learning_rate": 3e-3,
        "lr_scheduler_type": "linear",
        "per_device_train_batch_size": 128,
        "num_mini_batches": 4,
        "num_ppo_epochs": 4,
        "local_rollout_forward_batch_size": 512,
        "max_completion_length": toy.LENGTH,
        "temperature": TEMPERATURE,
        "kl_coef": BETA,
        "lam": 1.0,
        "vf_coef": 0.5,
        "cliprange_value": 10.0,
        "save_strategy": "no",
        "seed": seed,
        **changed,
    }
    config = PPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        activation_checkpointing=False,
        gradient_checkpointing=None,
        disable_tqdm=True,
        **values,
    )
    reference, rewards = toy.policy(seed, torch.float32, hidden=32, scale=0.2), toy.scores(seed)
    policy = toy.policy(seed, torch.float32, hidden=32, scale=0.2)
    models = Models(ActorCritic(policy), reference)
    rows = toy.rows() * (config.episodes // len(toy.PROMPTS))
    sources = [checked(toy.reward_function(rewards), "toy")]
    PPOTrainer(models, toy.tokenizer(), rows, sources, config, RunFolder(folder)).train()
    return toy.solve(policy.double(), reference.double(), rewards, BETA, TEMPERATURE)


def main() -> int:
    """Print a line for each seed; 1 when one misses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    torch.set_num_threads(1)
    missed = 0
    for seed in range(parser.parse_args().seeds):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = train(seed, Path(folder))
        missed += found.share < SHARE or found.kl_to_best > KL
        print(
            f"seed {seed}: (J - J_ref) / (J* - J_ref) {found.share:.4f}, KL to the best policy {found.kl_to_best:.4f}, "
            f"J_ref {found.j_ref:.3f}, J {found.j:.3f}, J* {found.j_best:.3f}, {time.perf_counter() - began:.1f} s",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
