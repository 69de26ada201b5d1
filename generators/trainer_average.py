"""The exponential moving average of the weights that samples are drawn from, by diffusers' EMAModel.

average <- d average + (1 - d) weights, with d = min(decay, (1 + k) / (10 + k)) at update k of the part; the first
update copies the weights. Buffers, such as the running statistics of batch normalisation, are the model's own.
Source: Polyak and Juditsky (1992); the rising d is that of TensorFlow's ExponentialMovingAverage, as diffusers has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from generators.model import GenerativeModel


class Averages:
    """One average for each submodule in `model.averaged`, so that a part that trains later begins its own later.

    Args:
        decay: 0 means that none are kept.
    """

    def __init__(self, model: GenerativeModel, decay: float) -> None:
        self._parts: dict[str, list[nn.Parameter]] = {}
        self._kept: dict[str, Any] = {}
        if decay:
            from diffusers.training_utils import EMAModel

            self._parts = {name: list(model.get_submodule(name).parameters()) for name in model.averaged}
            self._kept = {name: EMAModel(part, decay=decay, foreach=True) for name, part in self._parts.items()}

    def step(self, updated: Iterable[nn.Parameter]) -> None:
        """Average the parts to which parameters belong that this step updated."""
        changed = {id(p) for p in updated} if self._kept else set()
        for name, part in self._parts.items():
            if any(id(p) in changed for p in part):
                self._kept[name].step(part)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again afterwards, to the bit."""
        for name, part in self._parts.items():
            self._kept[name].store(part)
            self._kept[name].copy_to(part)
        try:
            yield
        finally:
            for name, part in self._parts.items():
                self._kept[name].restore(part)

    def drop(self) -> None:
        """Keep none any longer: the model has the weights that are wanted."""
        self._parts, self._kept = {}, {}

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from."""
        return {name: kept.state_dict() for name, kept in self._kept.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; the averages come to where the weights are."""
        for name, kept in self._kept.items():
            kept.load_state_dict(state[name])
            kept.to(self._parts[name][0].device)
