"""scikit-learn's digits: 1,797 written digits of 8x8 pixels, enlarged; the data that needs nothing.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
the copy that scikit-learn carries.
"""

from __future__ import annotations

from generators.pictures import Pictures

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
