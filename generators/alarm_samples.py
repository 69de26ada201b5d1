"""Alarms that look at samples: mode collapse and memorisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from generators.alarm_rules import Alarm

if TYPE_CHECKING:
    from torch import Tensor

    from generators.metrics import Reference

SCORES = ("real_score", "fake_score", "discriminator_accuracy")
"""What a discriminator's losses come with; where none does, there is no game that could collapse."""
ENOUGH = 5
"""Samples a mode, below which a mode may be missed by chance."""
SAME = (0.05, 0.5)
"""Recall at most, and precision at least, of a generator that makes a few good pictures again and again."""
COPIES = 0.6
"""Of the held-out pictures' median distance to the training set; samples that are nearer by the median are copies."""


def collapse(step: int, features: Tensor, told: Tensor, known: Reference, losses: Mapping[str, float]) -> Alarm | None:
    """A GAN's samples cover fewer than half of the modes, or are good and all alike.

    `features` [n, d] and `told` [n, k] are the judge's of the samples. Neither a GAN's losses nor the precision show
    it: the modes covered, the recall and the divergence of the modes' frequencies do.
    """
    scores = {name.rpartition("/")[2]: value for name, value in losses.items() if name.rpartition("/")[2] in SCORES}
    if not scores or len(features) < ENOUGH * known.modes.present:
        return None
    found = _variety(features, told, known)
    few = found["modes"] < known.modes.present / 2
    alike = found["recall"] <= SAME[0] and found["precision"] >= SAME[1]
    if not few and not alike:
        return None
    game = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in scores.items())
    text = (
        f"Mode collapse: {len(features)} samples cover {found['modes']:.0f} of {known.modes.present} modes, recall is "
        f"{found['recall']:.2f} beside a precision of {found['precision']:.2f}, and the KL of the modes' frequencies "
        f"{found['mode_kl']:.2f} nats ({game}). Bring the two learning rates together, add r1 or diffaug, or use "
        "wgan_gp; the run seldom recovers by itself."
    )
    return Alarm("collapse", step, text, {**found, **scores})


def memorisation(step: int, features: Tensor, known: Reference) -> Alarm | None:
    """Samples, features [n, d], lie far nearer to the training pictures than held-out pictures do."""
    from generators.memorisation import nearest_distances

    usual = float(known.held_out.median())
    near = float(nearest_distances(features, known.features).median())
    if usual <= 0 or near >= COPIES * usual:
        return None
    text = (
        f"Memorisation: half of the samples are within {near:.3g} of a training picture, where held-out pictures are "
        f"{usual:.3g} away. Stop earlier, make the network smaller, or give it more pictures."
    )
    return Alarm("memorisation", step, text, {"nearest": near / usual})


def _variety(features: Tensor, told: Tensor, known: Reference) -> dict[str, float]:
    import torch

    from generators.manifold import Manifolds, covered

    once = torch.ones(1, len(features), dtype=torch.float64)
    modes, sure = known.modes.tell(features, told)
    counts = known.modes.counts(modes.where(sure, torch.tensor(-1)), once)
    balls = Manifolds.compare(features, known.balls)
    return {
        "modes": float(known.modes.covered(counts, len(features))[0]),
        "mode_kl": float(known.modes.divergence(known.modes.counts(modes, once))[0]),
        "recall": float(covered(balls.reaching)),
        "precision": float(balls.precise.double().mean()),
    }
