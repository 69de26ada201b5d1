"""Alarms: what goes wrong in training without the loss saying so, told while it can still be mended.

mode collapse        a GAN whose generator has few pictures left; its losses and the precision look well
posterior collapse   a VAE whose decoder does without the code
memorisation         samples that are the training pictures
overfitting          a held-out bound that rises while the training loss falls
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from generators.alarm_rules import Alarm, overfits, posterior_collapse
from generators.alarm_samples import collapse, memorisation

if TYPE_CHECKING:
    from torch import Tensor

    from generators.judge import Judge
    from generators.metrics import Measures, Reference
    from generators.pictures import Split
    from generators.sections import AlarmSection

__all__ = ["Alarm", "Sighting", "Watch"]
QUALITY = ("fid", "recall", "modes")
"""Figures of watched samples that are logged, to be drawn over the run."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look saw.

    Attributes:
        alarms: that begin to ring.
        quality: of the samples, the figures of `QUALITY`; empty for translations.
    """

    alarms: list[Alarm]
    quality: dict[str, float]


class Watch:
    """Looks at each evaluation. An alarm rings when its rule first holds, and again only after it did not hold."""

    def __init__(self, section: AlarmSection, split: Split, judge: Judge | None) -> None:
        self._section, self._split, self._judge = section, split, judge
        self._ringing: list[str] = []
        self._past: list[dict[str, float]] = []
        self._known: Reference | None = None

    def look(
        self, step: int, progress: float, samples: Tensor, losses: Mapping[str, float], figures: Mapping[str, float]
    ) -> Sighting:
        """Alarms that begin to ring, and the quality of the samples.

        Args:
            step, progress: of the run; `progress` in [0, 1] of its budget.
            samples: [n, c, h, w] in [-1, 1], drawn as they would be at the end.
            losses: means since the last line, by name, as in "discriminator/loss".
            figures: of the family's `evaluate`: "bound", "active_units".
        """
        seen = self._measured(samples)
        found = [alarm for alarm in self._found(step, progress, seen, losses, figures) if alarm is not None]
        new = [alarm for alarm in found if alarm.kind not in self._ringing]
        self._ringing = [alarm.kind for alarm in found]
        return Sighting(new, {name: getattr(seen, name).value for name in QUALITY} if seen is not None else {})

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from, as JSON."""
        return {"ringing": list(self._ringing), "past": [dict(each) for each in self._past]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._ringing, self._past = list(state["ringing"]), [dict(each) for each in state["past"]]

    def _found(
        self,
        step: int,
        progress: float,
        seen: Measures | None,
        losses: Mapping[str, float],
        figures: Mapping[str, float],
    ) -> list[Alarm | None]:
        section, warm = self._section, progress >= self._section.warmup
        found: list[Alarm | None] = []
        if section.overfitting and "bound" in figures:
            found.append(overfits(step, self._past, losses, figures["bound"]))
        if section.posterior_collapse and warm:
            found.append(posterior_collapse(step, figures))
        if section.collapse and warm and seen is not None:
            found.append(collapse(step, seen, losses))
        if section.memorisation and warm and seen is not None:
            found.append(memorisation(step, seen))
        return found

    def _measured(self, samples: Tensor) -> Measures | None:
        """None for translations, whose variety is that of what they are made of."""
        from generators.metrics import Reference, measure_against

        if self._judge is None or self._split.train.targets is not None or len(samples) < 2:
            return None
        if self._known is None:
            self._known = Reference.of(self._split, self._judge)
        return measure_against(samples, self._known, resamples=0)
