"""The global random states of torch, Python and NumPy: kept, put back, and left untouched by what is not training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def random_states() -> dict[str, Any]:
    """All of them, as data that `torch.load(weights_only=True)` reads back."""
    import numpy as np

    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, next_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(kind), torch.tensor([int(key) for key in keys]), int(position), int(has_gauss), float(gauss)],
        "python": [version, torch.tensor(internal), next_gauss],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what `random_states` gave."""
    import numpy as np

    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, np.array(keys.tolist(), dtype=np.uint32), position, has_gauss, gauss))
    version, internal, next_gauss = states["python"]
    random.setstate((version, tuple(internal.tolist()), next_gauss))


@contextmanager
def untouched_randomness() -> Iterator[None]:
    """Whatever is drawn inside, what is drawn afterwards is as if nothing had been."""
    before = random_states()
    try:
        yield
    finally:
        set_random_states(before)
