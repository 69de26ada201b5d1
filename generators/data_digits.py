"""scikit-learn's digits: 1,797 written digits of 8x8 pixels, enlarged; the data that needs nothing.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
the copy that scikit-learn carries.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from generators.data_entries import Entry, Found
from generators.pictures import Pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def read_digits(size: int = 16) -> Pictures:
    """All 1,797 digits in grey, enlarged bilinearly to size x size."""
    import torch
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    from torch.nn.functional import interpolate

    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    if size != images.shape[-1]:
        images = interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    return Pictures(
        images=(images.clamp(0, 1) * 255).round().to(torch.uint8),
        labels=torch.from_numpy(found.target).long(),
        class_names=NAMES,
        source="scikit-learn digits",
    )


def find_digits(size: int = 16) -> Found:
    """The same as entries, each of its size already, called `three/17` and so on."""
    digits = read_digits(size)
    labels = [NAMES[label] for label in digits.labels.tolist()] if digits.labels is not None else []
    grey = digits.images[:, 0].numpy()
    entries = [Entry(f"{name}/{i}", partial(_pixels, grey[i]), name) for i, name in enumerate(labels)]
    return Found(tuple(entries), (), digits.source, NAMES)


def _pixels(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values
