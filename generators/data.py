"""The pictures that a recipe's data section names, split into those to train on and those held out."""

from __future__ import annotations

from generators.data_digits import read_digits
from generators.pictures import Split
from generators.sections import DataSection


def load_pictures(section: DataSection) -> Split:
    """Read, resize and split.

    Raises:
        ImageError: a picture cannot be used and the section is strict; names the file.
        DataError: there is nothing to train on, captions or targets do not fit the pictures.
    """
    import torch

    pictures = read_digits(section.size)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(section.seed))
    held = round(section.test_fraction * len(pictures))
    return Split(pictures.subset(order[held:]), pictures.subset(order[:held]))
