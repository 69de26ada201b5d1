"""Alarms that look at samples: mode collapse and memorisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from generators.alarm_rules import Alarm

if TYPE_CHECKING:
    from generators.metrics import Measures

SCORES = ("real_score", "fake_score", "discriminator_accuracy")
"""What a discriminator's losses come with; where none does, there is no game that could collapse."""
ENOUGH = 5
"""Samples a mode, below which a mode may be missed by chance."""
SAME = (0.05, 0.5)
"""Recall at most, and precision at least, of a generator that makes a few good pictures again and again."""
COPIES = 0.6
"""Of the held-out pictures' median distance to the training set; samples that are nearer by the median are copies."""


def collapse(step: int, found: Measures, losses: Mapping[str, float]) -> Alarm | None:
    """A GAN's samples cover fewer than half of the modes, or are good and all alike.

    Neither a GAN's losses nor the precision show it: the modes covered, the recall and the divergence of the modes'
    frequencies do.
    """
    scores = {name.rpartition("/")[2]: value for name, value in losses.items() if name.rpartition("/")[2] in SCORES}
    if not scores or found.n < ENOUGH * found.modes_present:
        return None
    seen = {name: getattr(found, name).value for name in ("modes", "mode_kl", "recall", "precision")}
    few = seen["modes"] < found.modes_present / 2
    alike = seen["recall"] <= SAME[0] and seen["precision"] >= SAME[1]
    if not few and not alike:
        return None
    game = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in scores.items())
    text = (
        f"Mode collapse: {found.n} samples cover {seen['modes']:.0f} of {found.modes_present} modes, recall is "
        f"{seen['recall']:.2f} beside a precision of {seen['precision']:.2f}, and the KL of the modes' frequencies "
        f"{seen['mode_kl']:.2f} nats ({game}). Bring the two learning rates together, add r1 or diffaug, or use "
        "wgan_gp; the run seldom recovers by itself."
    )
    return Alarm("collapse", step, text, {**seen, **scores})


def memorisation(step: int, found: Measures) -> Alarm | None:
    """Samples lie far nearer to the training pictures than held-out pictures do."""
    near = found.nearest.value
    if near >= COPIES:
        return None
    text = (
        f"Memorisation: the median sample is {near:.2g} times as far from its nearest training picture as that "
        "of held-out pictures is. Stop earlier, make the network smaller, or give it more pictures."
    )
    return Alarm("memorisation", step, text, {"nearest": near})
