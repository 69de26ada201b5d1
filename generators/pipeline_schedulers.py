"""A pipeline's scheduler: by name for one drawing, checked before any work, the model's own again after."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from generators.errors import SchedulerError
from generators.quiet import libraries_quiet


@contextmanager
def scheduled(pipeline: Any, name: str, steps: int | None) -> Iterator[None]:
    """The pipeline with the scheduler `name`; empty: its own.

    Args:
        steps: that are drawn from pure noise; None where it starts from a picture, which has signal at any time.

    Raises:
        SchedulerError: the name is unknown, not for this model, or settings contradict each other.
    """
    from generators.scheduler_doctor import check_scheduler
    from generators.schedulers import named_scheduler

    own = pipeline.scheduler
    if not name:
        check_own(pipeline, steps)
        yield
        return
    with libraries_quiet():
        chosen = named_scheduler(name, {**ON_LATENTS, **own.config})
    _check_sigmas(pipeline, chosen, name)
    check_scheduler(chosen, steps=steps, training=own.config, latent=True)
    try:
        pipeline.scheduler = chosen
        yield
    finally:
        pipeline.scheduler = own


ON_LATENTS = {"clip_sample": False, "thresholding": False}
"""Where the model's own scheduler does not know the setting: latents know no range to be clipped to."""


def _check_sigmas(pipeline: Any, chosen: Any, name: str) -> None:
    """Flux chooses the noise levels itself, and diffusers tells only on the way which schedulers let it."""
    if hasattr(pipeline, "_unpack_latents") and "sigmas" not in inspect.signature(chosen.set_timesteps).parameters:
        cause = f"{type(pipeline).__name__} chooses its noise levels itself, which {name} does not take"
        raise SchedulerError("choosing the scheduler", cause, "Use flow_euler")


def check_own(pipeline: Any, steps: int | None = None) -> None:
    """Refuse a model whose own scheduler would draw worse pictures silently. Raises SchedulerError."""
    from generators.scheduler_doctor import check_scheduler

    try:
        check_scheduler(pipeline.scheduler, steps=steps, latent=True)
    except SchedulerError as error:
        remedy = f"Draw with a scheduler by name instead of the model's own ({error.remedy})"
        raise SchedulerError(error.step, error.cause, remedy) from error
