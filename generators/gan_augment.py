"""Differentiable augmentation: the discriminator sees real and made pictures only after the same random changes.

A discriminator of few pictures would learn them by heart; since gradients pass through the changes, the generator
still learns to make unchanged ones. Source: Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN
Training, equations 6 and 7, with their three policies and strengths; `nudge` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from decoder.runs.recipe import check_choice


def augment(images: Tensor, policies: Sequence[str]) -> Tensor:
    """[n, channels, size, size], changed by each policy in turn; random numbers come from torch's global generator."""
    for policy in policies:
        images = POLICIES[policy](images)
    return images


def check_policies(policies: Sequence[str]) -> None:
    """Raises RecipeError for a policy that is unknown, naming the nearest."""
    for policy in policies:
        check_choice(policy, list(POLICIES), "model.diffaug")


def colour(images: Tensor) -> Tensor:
    """Brightness by up to 0.5 (of the range 2), saturation by a factor of up to 2, contrast by one of 0.5 to 1.5."""
    images = images + _uniform(images) - 0.5
    if images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * 2 * _uniform(images)
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * (_uniform(images) + 0.5)


def translation(images: Tensor) -> Tensor:
    """Moved by up to an eighth of the side in both directions; what comes in from outside is 0."""
    reach = max(round(images.shape[2] / 8), 1)
    return _moved(pad(images, (reach,) * 4), reach)


def nudge(images: Tensor) -> Tensor:
    """Moved by up to a sixteenth of the side in both directions; what comes in from outside is the edge, repeated.

    Gentler than the paper's: for pictures that all lie in the same place, where a greater move is as good as noise.
    """
    reach = max(round(images.shape[2] / 16), 1)
    return _moved(pad(images, (reach,) * 4, mode="replicate"), reach)


def _moved(wide: Tensor, reach: int) -> Tensor:
    """A window out of each picture of [n, channels, size + 2 reach, size + 2 reach], anywhere in it."""
    n, channels, size = len(wide), wide.shape[1], wide.shape[2] - 2 * reach
    across, down = torch.randint(0, 2 * reach + 1, (2, n, 1, 1, 1), device=wide.device)
    places = torch.arange(size, device=wide.device)
    wide = wide.gather(2, (places.view(1, 1, -1, 1) + down).expand(n, channels, size, size + 2 * reach))
    return wide.gather(3, (places.view(1, 1, 1, -1) + across).expand(n, channels, size, size))


def cutout(images: Tensor, ratio: float = 0.5) -> Tensor:
    """A square of half the side, its middle anywhere in the picture, becomes 0."""
    n, size = len(images), images.shape[2]
    side = max(round(size * ratio), 1)
    places = torch.arange(size, device=images.device)
    first = torch.randint(0, size + 1 - side % 2, (2, n, 1), device=images.device) - side // 2
    inside = (places >= first) & (places < first + side)
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images * ~hole


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device)


POLICIES = {"colour": colour, "translation": translation, "nudge": nudge, "cutout": cutout}
