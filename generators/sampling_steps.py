"""Who is told of the steps of sampling: a page that shows noise become a picture.

A family tells, whoever draws listens: `with steps_told(listener): sample(...)`. What is drawn is the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SamplingStep:
    """A step of sampling.

    Attributes:
        number: of the steps done, from 1.
        steps: in all, for this batch.
        pictures: gives [n, channels, size, size] as they are by then, noise and all; to be called by the listener.
    """

    number: int
    steps: int
    pictures: Callable[[], Tensor] = field(repr=False)


Listener: TypeAlias = Callable[[SamplingStep], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def steps_told(listener: Listener) -> Iterator[None]:
    """Inside, `listener` is told of every step that is sampled in this thread. What it raises ends the sampling."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def tell_step(number: int, steps: int, pictures: Callable[[], Tensor]) -> None:
    """Tell whoever listens."""
    listener = _listener.get()
    if listener is not None:
        listener(SamplingStep(number, steps, pictures))
