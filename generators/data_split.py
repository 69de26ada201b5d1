"""What is trained on and what is held out: the source's own split, else a seeded one, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from generators.data_entries import STEP, Part
from generators.errors import DataError
from generators.pictures import Pictures, Split

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 10
"""Training pictures of which a tenth can be held out."""


def held_out(labels: Tensor | None, count: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on and to hold out, each in a seeded order; each class is held out in proportion.

    round(fraction * count) are held out in all: every class gives the whole part of its share, and those with the
    largest remainders one more. A class's last picture is never held out.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    groups = labels[order] if labels is not None else torch.zeros(count, dtype=torch.long)
    wanted = round(fraction * count)
    sizes = torch.bincount(groups).tolist()
    take = shares(sizes, wanted)
    held = torch.zeros(count, dtype=torch.bool)
    for group, number in enumerate(take):
        held[(groups == group).nonzero().flatten()[:number]] = True
    ours, theirs = order[~held], order[held]  # drawn anew, since what was taken first of each class stands at the front
    first, second = (torch.randperm(len(part), generator=generator) for part in (ours, theirs))
    return ours[first], theirs[second]


def shares(sizes: Sequence[int], wanted: int) -> list[int]:
    """How many of each class are held out, `wanted` in all as far as no class loses its last picture."""
    total = max(sum(sizes), 1)
    exact = [wanted * size / total for size in sizes]
    take = [min(int(share), max(size - 1, 0)) for share, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (int(exact[i]) - exact[i], i))
    for i in by_remainder:
        if sum(take) < wanted and take[i] < sizes[i] - 1:
            take[i] += 1
    return take


def check_fraction(fraction: float) -> None:
    """Refuse a share that leaves nothing to train on. Raises DataError."""
    if not 0 <= fraction < 1:
        raise DataError(STEP, f"data.test_fraction is {fraction:g}", "Give a number from 0 to below 1")


def split_pictures(pictures: Pictures, parts: Sequence[Part], fraction: float, seed: int) -> tuple[Pictures, Pictures]:
    """Pictures to train on and held-out ones. Raises DataError when nothing is left to train on."""
    import torch

    if len(set(parts)) == 2:
        test = torch.tensor([part == "test" for part in parts])
        index = torch.arange(len(pictures))
        chosen = index[~test], index[test]
    else:
        chosen = held_out(pictures.labels, len(pictures), fraction, seed)
    if not len(chosen[0]):
        raise DataError(STEP, f"{pictures.source} leaves nothing to train on", "Give more pictures")
    return pictures.subset(chosen[0]), pictures.subset(chosen[1])


def apart(pictures: Pictures, seed: int) -> Pictures:
    """The pictures with their targets in a seeded order of their own: two sets without pairs."""
    import torch

    if pictures.targets is None:
        return pictures
    order = torch.randperm(len(pictures.targets), generator=torch.Generator().manual_seed(seed + 1))
    return replace(pictures, targets=pictures.targets[order], paired=False)


def with_validation(split: Split, seed: int) -> Split:
    """A tenth of the training pictures, class by class, in the place of the test pictures, which then choose nothing.

    Raises DataError when there are fewer than 10 to train on.
    """
    if len(split.train) < FEWEST:
        cause = f"training.early_stop holds out a tenth of {len(split.train)} training pictures"
        raise DataError(STEP, cause, "Give more pictures, or set training.early_stop to 0")
    ours, theirs = held_out(split.train.labels, len(split.train), 1 / FEWEST, seed)
    return Split(split.train.subset(ours), split.train.subset(theirs), split.skipped)
