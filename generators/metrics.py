"""One set of metrics for every family: pictures in, figures out, each with a 95% interval.

measure(samples, split, judge_for(split.train)).fid.value
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from generators.frechet import Moments, check_features
from generators.kernel_distance import KernelBlocks, standardised
from generators.manifold import Balls, Manifolds, covered
from generators.memorisation import nearest_distances, nearest_ratio
from generators.modes import CONFIDENT, Modes
from generators.resamples import Figure, Resamples, share

if TYPE_CHECKING:
    from torch import Tensor

    from generators.judge import Judge
    from generators.pictures import Split

MOST = 5000
"""Training pictures that neighbours and kernels are taken among; of more, evenly spaced ones stand for all."""
FIGURES = {
    "fid": "FID",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "accuracy": "class accuracy",
    "modes": "modes covered",
    "mode_kl": "KL of modes, nats",
    "confident": "confident",
    "diversity": "diversity",
    "nearest": "nearest training picture",
}
"""The figures in the order of tables, and what they are called there."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What `measure` found.

    Attributes:
        judge: whose features these are.
        n: samples.
        modes_present: modes that the training pictures have.
        fid, kid: distances of the distributions, 0 at best (`frechet`, `kernel_distance`).
        precision, recall, density, coverage: see `manifold`.
        modes: covered; `mode_kl` of their frequencies from training's, in nats (`modes`).
        confident: share with a probability above 0.8; None without labels.
        diversity: mean distance of two samples by that of two training pictures: about 1 for real ones.
        nearest: see `memorisation`.
        accuracy: share of the samples that the judge tells as the class that was asked for; None without labels.
    """

    judge: str
    n: int
    modes_present: int
    fid: Figure
    kid: Figure
    precision: Figure
    recall: Figure
    density: Figure
    coverage: Figure
    modes: Figure
    mode_kl: Figure
    diversity: Figure
    nearest: Figure
    confident: Figure | None = None
    accuracy: Figure | None = None

    def plain(self) -> dict[str, Any]:
        """As data for JSON; `from_plain` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Measures:
        """What `plain` gave."""
        read: dict[str, Any] = {key: Figure(**v) if isinstance(v, dict) else v for key, v in values.items()}
        return cls(**read)


@dataclass(frozen=True, slots=True)
class Reference:
    """What of the real pictures every measurement with one judge needs again.

    Attributes:
        features, moments: [m, d] of all training pictures, and their Gaussian.
        balls: around those that neighbours are taken among.
        spread: the mean distance of two of them.
        held_out: [t] distances of the test pictures to their nearest training picture.
    """

    judge: Judge
    features: Tensor
    moments: Moments
    balls: Balls
    modes: Modes
    spread: float
    held_out: Tensor

    @classmethod
    def of(cls, split: Split, judge: Judge) -> Reference:
        """Of the split's pictures. Raises DataError when there are fewer than 2 of either."""
        import torch

        features, test = judge.features(split.train.floats()), judge.features(split.test.floats())
        check_features(features, test)
        balls = Balls.around(features[:: -(-len(features) // MOST)])
        spread = float(torch.pdist(balls.points).mean())
        modes = Modes.of(split.train, features, judge)
        return cls(judge, features, Moments.of(features), balls, modes, spread, nearest_distances(test, features))


def measure(
    samples: Tensor, split: Split, judge: Judge, labels: Tensor | None = None, resamples: int = 200, seed: int = 0
) -> Measures:
    """Measure samples [n, c, h, w] in [-1, 1] against the split's training pictures.

    Args:
        labels: [n] classes that were asked for.
        resamples: for the intervals; 0 means none.
        seed: of the resamples.

    Raises:
        DataError: there are fewer than 2 samples, or they hold values that are no numbers.
    """
    return measure_against(samples, Reference.of(split, judge), labels, resamples, seed)


def floor(split: Split, judge: Judge, n: int = 0, resamples: int = 200, seed: int = 0) -> Measures:
    """The same figures of n real test pictures (0: all there are): what samples as good as real ones come to."""
    return floor_against(split, Reference.of(split, judge), n, resamples, seed)


def floor_against(split: Split, known: Reference, n: int = 0, resamples: int = 200, seed: int = 0) -> Measures:
    """As `floor`, with what is known of the real pictures already."""
    import torch

    order = torch.randperm(len(split.test), generator=torch.Generator().manual_seed(seed))
    real = split.test.subset(order[: n or len(order)])
    return measure_against(real.floats(), known, real.labels, resamples, seed)


def measure_against(
    samples: Tensor, known: Reference, labels: Tensor | None = None, resamples: int = 200, seed: int = 0
) -> Measures:
    """As `measure`, with what is known of the real pictures already."""
    features, told = known.judge.features(samples), known.judge.probabilities(samples)
    check_features(features)
    draws = Resamples.draw(len(samples), resamples, seed)
    by_labels = known.judge.by_labels
    return Measures(
        judge=known.judge.name,
        n=len(samples),
        modes_present=known.modes.present,
        **_distances(features, known, draws),
        **_manifold_figures(features, known, draws),
        **_mode_figures(features, told, known.modes, draws),
        diversity=_diversity(features, known.spread, draws),
        nearest=nearest_ratio(nearest_distances(features, known.features), known.held_out, draws),
        confident=share(told.amax(1) > CONFIDENT) if by_labels else None,
        accuracy=share(told.argmax(1) == labels.cpu()) if by_labels and labels is not None else None,
    )


def _distances(features: Tensor, known: Reference, draws: Resamples) -> dict[str, Figure]:
    import torch

    def frechets(weights: Tensor) -> Tensor:
        drawn = (Moments.of(features.repeat_interleave(row.long(), dim=0)) for row in weights)
        return torch.tensor([each.distance(known.moments) for each in drawn])

    real = known.balls.points
    blocks = KernelBlocks(standardised(features, real), standardised(real, real))
    whole = blocks.distances(torch.ones(1, len(features), dtype=torch.float64))
    infinite = float("inf")
    return {
        "fid": draws.figure(Moments.of(features).distance(known.moments), frechets, 0.0, infinite),
        "kid": draws.figure(float(whole[0]), blocks.distances, -infinite, infinite),
    }


def _manifold_figures(features: Tensor, known: Reference, draws: Resamples) -> dict[str, Figure]:
    found = Manifolds.compare(features, known.balls)
    return {
        "precision": share(found.precise),
        "density": draws.mean(found.density),
        "recall": draws.figure(float(covered(found.reaching)), lambda w: covered(found.reaching, w), 0.0, 1.0),
        "coverage": draws.figure(float(covered(found.entering)), lambda w: covered(found.entering, w), 0.0, 1.0),
    }


def _mode_figures(features: Tensor, probabilities: Tensor, modes: Modes, draws: Resamples) -> dict[str, Figure]:
    import torch

    told, sure = modes.tell(features, probabilities)
    surely, count = told.where(sure, torch.tensor(-1)), len(features)

    def reached(weights: Tensor) -> Tensor:
        return modes.covered(modes.counts(surely, weights), count)

    def divergences(weights: Tensor) -> Tensor:
        return modes.divergence(modes.counts(told, weights))

    once = torch.ones(1, count, dtype=torch.float64)
    return {
        "modes": draws.figure(float(reached(once)[0]), reached, 0.0, float(modes.present)),
        "mode_kl": draws.figure(float(divergences(once)[0]), divergences, 0.0, float("inf")),
    }


def _diversity(features: Tensor, spread: float, draws: Resamples) -> Figure:
    """Of two different samples; one that a resample has twice is not compared with itself."""
    import torch

    apart = torch.cdist(features, features).double() / max(spread, 1e-12)
    apart.fill_diagonal_(0)

    def means(weights: Tensor) -> Tensor:
        pairs = weights.sum(1).square() - weights.square().sum(1)
        return ((weights @ apart) * weights).sum(1) / pairs

    once = torch.ones(1, len(features), dtype=torch.float64)
    return draws.figure(float(means(once)[0]), means, 0.0, float("inf"))
