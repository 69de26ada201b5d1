"""Precision and recall, density and coverage: whether samples lie where real pictures do, and the other way round.

Sources: Kynkäänniemi, Karras, Laine, Lehtinen and Aila, Improved precision and recall metric for assessing generative
models (2019), section 2; Naeem, Oh, Uh, Choi and Yoo, Reliable fidelity and diversity metrics for generative models
(2020), section 3. The neighbours are the papers': the third for the former, the fifth for the latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOUR, DENSITY_NEIGHBOUR = 3, 5


@dataclass(frozen=True, slots=True)
class Balls:
    """Points [m, d], and around each a ball that reaches to one of its neighbours.

    Attributes:
        radii: [m] to the third nearest other point.
        wide: [m] to the fifth.
    """

    points: Tensor
    radii: Tensor
    wide: Tensor

    @classmethod
    def around(cls, points: Tensor) -> Balls:
        """Of points [m, d]; where there are too few neighbours, the farthest one counts."""
        import torch

        apart = torch.cdist(points, points).fill_diagonal_(float("inf"))
        near = apart.topk(min(DENSITY_NEIGHBOUR, max(len(points) - 1, 1)), largest=False).values
        return cls(points, near[:, min(NEIGHBOUR, near.shape[1]) - 1], near[:, -1])


@dataclass(frozen=True, slots=True)
class Manifolds:
    """Of n samples beside m reference points.

    Attributes:
        precise: [n] bool: the sample lies in a reference ball.
        density: [n]: in how many of the wider balls it lies, divided by 5.
        reaching: [n, m] bool: the sample's ball holds the reference point (recall).
        entering: [n, m] bool: the sample lies in the reference point's wider ball (coverage).
    """

    precise: Tensor
    density: Tensor
    reaching: Tensor
    entering: Tensor

    @classmethod
    def compare(cls, samples: Tensor, reference: Balls) -> Manifolds:
        """Samples [n, d] beside the reference's balls."""
        import torch

        apart = torch.cdist(samples, reference.points)
        entering = apart <= reference.wide
        return cls(
            precise=(apart <= reference.radii).any(1),
            density=entering.double().sum(1) / DENSITY_NEIGHBOUR,
            reaching=apart <= Balls.around(samples).radii[:, None],
            entering=entering,
        )


def covered(pairs: Tensor, weights: Tensor | None = None) -> Tensor:
    """Share of the m columns of pairs [n, m] with a true value; [r] of them for resamples' weights [r, n]."""
    if weights is None:
        return pairs.any(0).double().mean()
    present = (weights > 0).float()
    return (present @ pairs.float() > 0).double().mean(1)
