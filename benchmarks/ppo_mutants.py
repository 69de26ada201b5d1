"""Mistakes that a PPO can make, put into ours one at a time: each must fail. `python -m benchmarks.ppo_mutants`.

A mutant is a change of one place of the source. The module it is in is compiled with the change, every `alignment.ppo*`
module is imported anew around it, and the checks of ppo_checks.py are run; nothing on the disk is touched. A change
whose place is no longer in the source, or is there twice, is an error: a mutant that is not there proves nothing.
`--seeds N` tries each with N seeds. Exit code 1 when one survives a seed, or when the code as it is fails a check.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ppo_checks

PACKAGE = Path(__file__).resolve().parents[1] / "alignment"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` in `alignment/<module>.py` becomes `new`, and at least `check` must fail."""

    name: str
    module: str
    old: str
    new: str
    check: str = "gradient_identity"


MUTANTS = (
    Mutant("KL with the wrong sign", "ppo_losses", "rewards = -kl_coef * kl", "rewards = kl_coef * kl"),
    Mutant("no KL", "ppo_losses", "rewards = -kl_coef * kl * live", "rewards = 0.0 * kl * live"),
    Mutant(
        "advantages one token late",
        "ppo_losses",
        "return advantages, advantages + values",
        "return torch.roll(advantages, 1, 1) * live, advantages + values",
    ),
    Mutant(
        "old log-probabilities computed anew",
        "ppo_update",
        "policy = policy_losses(logprobs, batch.logprobs,",
        "policy = policy_losses(logprobs, logprobs.detach(),",
        "second_pass",
    ),
    Mutant(
        "padding of prompts not masked",
        "ppo_rollout",
        "return torch.cat([self.prompt_mask, self.live.long()], dim=1)",
        "return torch.cat([torch.ones_like(self.prompt_mask), self.live.long()], dim=1)",
    ),
    Mutant(
        "padding of responses trained",
        "ppo_experience",
        "rollout.live * rollout.weights.unsqueeze(1)",
        "torch.ones_like(rollout.live) * rollout.weights.unsqueeze(1)",
        "padding",
    ),
    Mutant("no temperature", "ppo_critic", "temperature=temperature,", "temperature=1.0,"),
    Mutant(
        "reference at another temperature",
        "ppo_critic",
        "found: Predictions = self.model(ids, mask, width, temperature, with_values=False)",
        "found: Predictions = self.model(ids, mask, width, 1.0, with_values=False)",
        "gradient_identity_lora",
    ),
    Mutant(
        "frozen reference at another temperature",
        "ppo_critic",
        "return predict(self.frozen, ids, mask, width, temperature)[0]",
        "return predict(self.frozen, ids, mask, width, 1.0)[0]",
    ),
    Mutant("reward on the first token", "ppo_losses", "last = live.long().sum(1) - 1", "last = 0 * live.long().sum(1)"),
    Mutant(
        "reward on the last column",
        "ppo_losses",
        "last = live.long().sum(1) - 1",
        "last = 0 * live.long().sum(1) + live.shape[1] - 1",
    ),
    Mutant("value of padding not masked", "ppo_losses", "    values = values * live\n", "    values = values * 1.0\n"),
    Mutant(
        "whitening over padding",
        "ppo_losses",
        "    mean = masked_mean(values, weights, reduce)\n",
        "    weights = torch.ones_like(weights)\n    mean = masked_mean(values, weights, reduce)\n",
        "whitening",
    ),
    Mutant(
        "log-probabilities off by one", "ppo_critic", "[:, -width - 1 : -1]\n    logits", "[:, -width:]\n    logits"
    ),
    Mutant(
        "values off by one",
        "ppo_critic",
        "self._values(hidden[:, -width - 1 : -1])",
        "self._values(hidden[:, -width:])",
    ),
    Mutant("penalty as a gift", "ppo_experience", "scores - penalty", "scores + penalty"),
    Mutant(
        "the kinder of two surrogates",
        "ppo_losses",
        "torch.maximum(-advantages",
        "torch.minimum(-advantages",
        "second_pass",
    ),
    Mutant("no clipping", "ppo_losses", "ratio.clamp(1 - cliprange, 1 + cliprange)", "ratio", "second_pass"),
    Mutant("the smaller value loss", "ppo_losses", "0.5 * torch.maximum(", "0.5 * torch.minimum(", "second_pass"),
    Mutant("lambda forgotten", "ppo_losses", "gamma * lam * advantage", "gamma * advantage", "second_pass"),
    Mutant("gamma forgotten", "ppo_losses", "gamma * following", "following", "second_pass"),
    Mutant(
        "returns of whitened advantages",
        "ppo_losses",
        "return advantages, advantages + values",
        "return advantages, advantages",
        "second_pass",
    ),
    Mutant(
        "means of micro-batches of unequal length",
        "ppo_update",
        "/ count\n    sums",
        "/ experience.weights[parts[0]].sum()\n    sums",
        "second_pass",
    ),
    Mutant(
        "adapter left on in the reference",
        "ppo_critic",
        "with self._swapped():",
        "with contextlib.nullcontext():",
        "gradient_identity_lora",
    ),
    Mutant("passes never cut short", "ppo_update", "> config.target_kl", "> 1e9 + config.target_kl", "early_stop"),
    Mutant("KL control the wrong way", "ppo_kl", "1 + error *", "1 - error *", "steering"),
)


@contextlib.contextmanager
def mutated(mutant: Mutant) -> Iterator[None]:
    """While it lasts, `alignment.ppo*` is imported with the mutant in it. Raises LookupError when it does not fit."""
    name = f"alignment.{mutant.module}"
    file = PACKAGE / f"{mutant.module}.py"
    source = file.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: its place is {source.count(mutant.old)} times in {file.name}")
    parent = importlib.import_module("alignment")
    before = {key: sys.modules.pop(key) for key in list(sys.modules) if key.startswith("alignment.ppo")}
    module = types.ModuleType(name)
    module.__file__, module.__package__ = str(file), "alignment"
    sys.modules[name] = module
    parent.__dict__[mutant.module] = module
    try:
        exec(compile(source.replace(mutant.old, mutant.new), str(file), "exec"), module.__dict__)
        yield
    finally:
        for key in [key for key in sys.modules if key.startswith("alignment.ppo")]:
            del sys.modules[key]
        sys.modules.update(before)
        for key in [key for key in parent.__dict__ if key.startswith("ppo")]:
            del parent.__dict__[key]
        parent.__dict__.update({key.partition(".")[2]: found for key, found in before.items()})


def caught_by(mutant: Mutant, seed: int, checks: tuple[Callable[[int], None], ...] = ppo_checks.CHECKS) -> str:
    """The name of the first check that fails, and how; empty when the mutant survives."""
    with mutated(mutant):
        for check in checks:
            try:
                check(seed)
            except Exception as error:  # noqa: BLE001  # a mutant may fail in any way
                return f"{check.__name__}: {str(error) or type(error).__name__}"
    return ""


def main() -> int:
    """Print a line for each mutant."""
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    bad = 0
    for check in ppo_checks.CHECKS:
        for seed in seeds:
            try:
                check(seed)
            except AssertionError as error:
                bad += 1
                print(f"the code as it is fails {check.__name__} with seed {seed}: {error}")
    for mutant in MUTANTS:
        caught = [caught_by(mutant, seed) for seed in seeds]
        bad += caught.count("")
        print(f"{mutant.name}: caught {len(caught) - caught.count('')} of {len(caught)}; {caught[0][:110]}", flush=True)
    print(f"{len(MUTANTS)} mutants, {len(seeds)} seeds, {bad} failures")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
