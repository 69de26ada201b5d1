"""A pipeline's scheduler: by name for one drawing, checked before any work, the model's own again after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from generators.errors import SchedulerError

STEP = "choosing the scheduler"


@contextmanager
def scheduled(pipeline: Any, name: str) -> Iterator[None]:
    """The pipeline with the scheduler `name`; empty: its own. Raises SchedulerError."""
    own = pipeline.scheduler
    try:
        if name:
            pipeline.scheduler = _named(name, own)
        yield
    finally:
        pipeline.scheduler = own


def _named(name: str, own: Any) -> Any:
    import diffusers

    found = getattr(diffusers, name, None)
    if not isinstance(found, type) or not issubclass(found, diffusers.SchedulerMixin):
        raise SchedulerError(STEP, f"{name} is no scheduler of diffusers", "Name one")
    return found.from_config(own.config)  # type: ignore[no-untyped-call]
