"""One step on the toy, in as many processes as were started, each with its share of the episodes: short ones first.

`torchrun … ppo_processes_support.py FILE`: the first process writes the policy's move and the figures to FILE.
"""

import dataclasses
import os
import sys

import torch

from alignment.ppo_experience import make_experience
from alignment.ppo_rollout import Rollout
from alignment.ppo_trainer import make_accelerator
from alignment.ppo_update import update
from benchmarks import ppo_checks

CHANGED = {
    "gamma": 0.97,
    "lam": 0.9,
    "vf_coef": 0.5,
    "whiten_rewards": True,
    "cliprange_value": 0.02,
    "num_ppo_epochs": 2,
}


def step(count: int, rank: int):
    """The move of the policy's weights, and all figures."""
    on = ppo_checks.bench(3)
    rollout = ppo_checks.enumerated(on.policy)
    mine = torch.argsort(rollout.live.sum(1), stable=True).chunk(count)[rank]
    part = Rollout(*(getattr(rollout, field.name)[mine] for field in dataclasses.fields(Rollout)))
    parts = ppo_checks.EPISODES // ppo_checks.MICRO // count
    settings = ppo_checks.config(gradient_accumulation_steps=parts, **CHANGED)
    accelerator = make_accelerator(settings)
    model, optimizer = accelerator.prepare(on.model, torch.optim.SGD(on.model.parameters(), lr=0.5))

    def over_all(values):
        return accelerator.reduce(values, reduction="sum")

    experience, found = make_experience(
        model, on.reference, part, on.rewards[mine], settings, settings.kl_coef, over_all
    )
    before = ppo_checks.flat(on.policy)
    figures = update(model, optimizer, accelerator, experience, settings, 1)
    return ppo_checks.flat(on.policy) - before, figures | {name: float(value) for name, value in found.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    made = step(int(os.environ["WORLD_SIZE"]), rank)
    if rank == 0:
        torch.save(made, sys.argv[1])
