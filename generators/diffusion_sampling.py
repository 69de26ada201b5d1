"""From noise to pictures with one of diffusers' schedulers: the loop that diffusion and flow matching share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from decoder.errors import RecipeError
from generators.errors import SchedulerError
from generators.model import Conditions, check_number, even_labels
from generators.sampling_steps import tell_step
from generators.scheduler_doctor import check_scheduler
from generators.schedulers import find_scheduler, named_scheduler

MOST_STEPS = 100_000


def sampling_scheduler(name: str, trained: Mapping[str, Any], steps: int) -> Any:
    """The scheduler `name` for this training, checked, its times set.

    Raises:
        RecipeError: `steps` is no number of steps.
        SchedulerError: it is unknown, for distilled networks, or cannot follow the schedule.
    """
    check_number("steps", steps, 1, MOST_STEPS, whole=True)
    if find_scheduler(name).distilled:
        raise SchedulerError("sampling", f"{name} is for networks that were distilled for it", "Use dpm++ or ddim")
    scheduler = named_scheduler(name, trained)
    check_scheduler(scheduler, steps=steps, training=trained)
    scheduler.set_timesteps(steps)
    return scheduler


def asked_labels(conditions: Conditions, classes: int, device: torch.device) -> Tensor | None:
    """[count] labels: those asked for, or all classes in turn; None for a model without classes. Raises RecipeError."""
    if not classes:
        if conditions.labels is not None:
            raise RecipeError("sampling", "labels are asked for, and the model knows none", "Leave them out")
        return None
    labels = even_labels(conditions.count, classes) if conditions.labels is None else conditions.labels
    if len(labels) != conditions.count or bool((labels < 0).any()) or bool((labels >= classes).any()):
        cause = f"{len(labels)} labels up to {int(labels.max()) if len(labels) else 0} for {conditions.count} pictures"
        raise RecipeError("sampling", cause, f"Give one a picture, from 0 to {classes - 1}")
    return labels.long().to(device)


def draw(
    scheduler: Any,
    predict: Callable[[Tensor, Tensor], Tensor],
    shape: Sequence[int],
    generator: torch.Generator,
    device: torch.device,
    eta: float = 0.0,
) -> Tensor:
    """Pictures of `shape` in [-1, 1], all noise from `generator`, which lives on the CPU or on `device`.

    Raises:
        RecipeError: `eta` is not in [0, 1], or the scheduler has none.
    """
    options = step_options(scheduler, generator, eta)
    x = torch.randn(tuple(shape), generator=generator, device=generator.device).to(device)
    x = x * getattr(scheduler, "init_noise_sigma", 1.0)
    times = scheduler.timesteps.to(device)
    for number, time in enumerate(times, 1):
        scaled = scheduler.scale_model_input(x, time) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(predict(scaled, time), time, x, return_dict=False, **options)[0]
        tell_step(number, len(times), partial(torch.Tensor.detach, x))
    return x.clamp(-1, 1)


def step_options(scheduler: Any, generator: torch.Generator, eta: float) -> dict[str, Any]:
    """Keyword arguments of the scheduler's `step`. Raises RecipeError for an `eta` that it does not have."""
    check_number("eta", eta, 0, 1)
    known = inspect.signature(scheduler.step).parameters
    if eta and "eta" not in known:
        cause = f"sampling.eta is {eta} with {type(scheduler).__name__}"
        raise RecipeError("sampling", cause, "Give 0, or up to 1 with the scheduler ddim")
    options: dict[str, Any] = {"generator": generator} if "generator" in known else {}
    return options | ({"eta": eta} if "eta" in known else {})
