"""Which pictures each update sees: every picture once an epoch, in an order that the seed alone tells.

A batch at an epoch's end is filled up from the next epoch, so that every batch is whole and no picture is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from generators.pictures import Batch, Pictures


class Stream:
    """Indices 0 to count-1, shuffled anew each time they are used up."""

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._generator = torch.Generator().manual_seed(seed)
        self._left = torch.empty(0, dtype=torch.long)

    def take(self, count: int) -> Tensor:
        """The next `count` indices, [count] int64."""
        while len(self._left) < count:
            self._left = torch.cat([self._left, torch.randperm(self._count, generator=self._generator)])
        taken, self._left = self._left[:count], self._left[count:].clone()
        return taken

    def coins(self, count: int) -> Tensor:
        """[count] booleans, true in half of the cases."""
        return torch.rand(count, generator=self._generator) < 0.5

    def state(self) -> dict[str, Tensor]:
        """What `restore` goes on from."""
        return {"generator": self._generator.get_state(), "left": self._left}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on as the stream that gave this state would have."""
        self._generator.set_state(state["generator"])
        self._left = state["left"]


class Order:
    """Batches of the training pictures, without end.

    Args:
        batch_size: pictures a batch and process.
        flip: mirror half of the pictures, drawn anew each time; paired targets along with them.
        process, processes: which part of every batch is this process's.
    """

    def __init__(
        self, pictures: Pictures, batch_size: int, flip: bool, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self._pictures, self._size, self._flip = pictures, batch_size, flip
        self._process, self._processes = process, processes
        self._stream = Stream(len(pictures), seed)
        apart = pictures.targets is not None and not pictures.paired
        self._targets = Stream(len(pictures.targets), seed + 1) if pictures.targets is not None and apart else None

    def take(self) -> tuple[Batch, Tensor]:
        """The next batch, and its pictures' indices [n]."""
        index, flipped = self._draw(self._stream)
        target_index, target_flipped = self._draw(self._targets) if self._targets is not None else (None, flipped)
        batch = self._pictures.batch(index, target_index)
        if self._flip:
            targets = None if batch.targets is None else _mirror(batch.targets, target_flipped)
            batch = replace(batch, images=_mirror(batch.images, flipped), targets=targets)
        return batch, index

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from."""
        return {"pictures": self._stream.state(), "targets": self._targets.state() if self._targets else {}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the order that gave this state would have."""
        self._stream.restore(state["pictures"])
        if self._targets is not None:
            self._targets.restore(state["targets"])

    def _draw(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """This process's indices and which of them are mirrored; every process draws for all."""
        count = self._size * self._processes
        mine = slice(self._process, None, self._processes)
        index = stream.take(count)[mine]
        return index, stream.coins(count)[mine] if self._flip else torch.zeros(0, dtype=torch.bool)


def _mirror(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(-1), images)
