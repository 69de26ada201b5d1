"""What the scheduler doctor's measured rules rest on: each scheduler, stock and by named_scheduler, on a Gaussian.

python -m benchmarks.scheduler_rules

The data are N(0.2, 0.35^2). Prints the mean and spread that each scheduler ends at, in 10 and 50 steps, with a perfect
network and with one whose noise is 2% too large, for the linear and the cosine schedule.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

ERRORS, STEPS = (0.0, 0.02), (10, 50)


def stock(name: str, config: dict[str, Any]) -> Any:
    """diffusers' own class with the training's keys, and nothing repaired."""
    import diffusers

    from generators.schedulers import SCHEDULERS

    entry = SCHEDULERS[name]
    cls = diffusers.DDIMScheduler if name == "ddim" else getattr(diffusers, entry.where)
    known = inspect.signature(cls.__init__).parameters
    return cls(**{k: v for k, v in config.items() if k in known}, **entry.settings)


def main() -> int:
    import torch

    from benchmarks.gaussian_denoiser import drawn
    from generators.schedulers import SCHEDULERS, named_scheduler

    torch.set_num_threads(1)
    columns = [f"{steps} steps, {error:.0%}" for error in ERRORS for steps in STEPS]
    print("| schedule | scheduler | made by | " + " | ".join(columns) + " |\n" + "|---" * (3 + len(columns)) + "|")
    for schedule in ("linear", "squaredcos_cap_v2"):
        config = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": schedule}
        config |= {"prediction_type": "epsilon", "clip_sample": False}
        for name, entry in SCHEDULERS.items():
            if entry.flow or entry.distilled:
                continue
            for maker, make in (("diffusers", stock), ("named_scheduler", named_scheduler)):
                cells = [_cell(make, name, config, steps, error, drawn) for error in ERRORS for steps in STEPS]
                print(f"| {schedule} | {name} | {maker} | " + " | ".join(cells) + " |", flush=True)
    return 0


def _cell(make: Any, name: str, config: dict[str, Any], steps: int, error: float, drawn: Any) -> str:
    try:
        found = drawn(make(name, config), steps, error=error)
    except IndexError as failed:
        return type(failed).__name__
    return f"{found.mean:.2f}, {found.spread:.2f}"


if __name__ == "__main__":
    sys.exit(main())
