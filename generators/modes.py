"""Modes: the classes of labelled pictures, or groups of alike pictures where there are no labels; which are covered.

Groups are those of k-means on the training pictures' features, the bins of Richardson and Weiss, On GANs and GMMs
(2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from generators.judge import Judge
    from generators.pictures import Pictures

CONFIDENT = 0.8
"""The probability above which a judge is sure."""
COVERED = 0.1
"""A mode is covered when the samples that are surely of it are at least this part of its share of the training set."""
GROUPS = 10
ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Modes:
    """What there is to be covered.

    Attributes:
        shares: [k] of the training pictures, as the judge sees them.
        centres: [k, d] of the groups; None where modes are classes.
    """

    shares: Tensor
    centres: Tensor | None = None

    @classmethod
    def of(cls, train: Pictures, features: Tensor, judge: Judge) -> Modes:
        """Of the training pictures, whose features [m, d] in the judge are given."""
        import torch

        if judge.by_labels:
            told = judge.probabilities(train.floats()).argmax(1)
            return cls(torch.bincount(told, minlength=train.classes).double() / len(train))
        centres = _group(features, min(GROUPS, len(train)))
        told = torch.cdist(features, centres).argmin(1)
        return cls(torch.bincount(told, minlength=len(centres)).double() / len(train), centres)

    def tell(self, features: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """[n] modes, and [n] bool, whether surely; a group is always sure."""
        import torch

        if self.centres is None:
            return probabilities.argmax(1), probabilities.amax(1) > CONFIDENT
        told = torch.cdist(features, self.centres).argmin(1)
        return told, torch.ones_like(told, dtype=torch.bool)

    @property
    def present(self) -> int:
        """How many modes the training pictures have."""
        return int((self.shares > 0).sum())

    def counts(self, told: Tensor, weights: Tensor) -> Tensor:
        """[r, k]: how many samples of each mode a resample of weights [r, n] has; told [n], below 0 for none."""
        import torch
        from torch.nn.functional import one_hot

        hot = one_hot(told.clamp(min=0), len(self.shares)).double() * (told >= 0).double()[:, None]
        return weights @ hot if len(weights) else torch.zeros(0, len(self.shares), dtype=torch.float64)

    def covered(self, counts: Tensor, total: int) -> Tensor:
        """[r] modes covered, of the counts [r, k] of samples surely told among `total`."""
        needed = (COVERED * self.shares * total).clamp(min=1) - 1e-9  # 0.1 * 0.2 * 100 is a little more than 2
        return ((counts >= needed) & (self.shares > 0)).double().sum(1)

    def divergence(self, counts: Tensor) -> Tensor:
        """[r]: Kullback and Leibler's divergence of the told frequencies, counts [r, k], from training's, in nats."""
        import torch

        frequencies = counts / counts.sum(1, keepdim=True)
        shares = self.shares.clamp(min=0.5 / 10**6)  # a class that the judge sees in no training picture
        found: Tensor = torch.special.xlogy(frequencies, frequencies / shares).nan_to_num(0.0).sum(1).clamp(min=0)
        return found


def _group(features: Tensor, groups: int) -> Tensor:
    """[k, d] centres by Lloyd's rounds from a seeded start (k-means++; Arthur and Vassilvitskii, 2007)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    centres = features[torch.randint(len(features), (1,), generator=generator)]
    while len(centres) < groups:
        nearest = torch.cdist(features, centres).amin(1).square()
        if not bool(nearest.sum() > 0):
            break  # there are fewer different pictures
        centres = torch.cat([centres, features[torch.multinomial(nearest, 1, generator=generator)]])
    for _ in range(ROUNDS):
        told = torch.cdist(features, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, told, features)
        counts = torch.bincount(told, minlength=len(centres))[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres
