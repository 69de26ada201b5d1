"""Alarms: what goes wrong in training without the loss saying so, told while it can still be mended.

mode collapse        a GAN whose generator has few pictures left; its losses and the precision look well
posterior collapse   a VAE whose decoder does without the code
memorisation         samples that are the training pictures
overfitting          a held-out bound that rises while the training loss falls
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from generators.alarm_rules import Alarm, overfits, posterior_collapse
from generators.alarm_samples import collapse, memorisation

if TYPE_CHECKING:
    from torch import Tensor

    from generators.judge import Judge
    from generators.metrics import Reference
    from generators.pictures import Split
    from generators.sections import AlarmSection

__all__ = ["Alarm", "Watch"]


class Watch:
    """Looks at each evaluation. An alarm rings when its rule first holds, and again only after it did not hold."""

    def __init__(self, section: AlarmSection, split: Split, judge: Judge | None) -> None:
        self._section, self._split, self._judge = section, split, judge
        self._ringing: list[str] = []
        self._past: list[dict[str, float]] = []
        self._known: Reference | None = None

    def look(
        self, step: int, progress: float, samples: Tensor, losses: Mapping[str, float], figures: Mapping[str, float]
    ) -> list[Alarm]:
        """Alarms that begin to ring.

        Args:
            step, progress: of the run; `progress` in [0, 1] of its budget.
            samples: [n, c, h, w] in [-1, 1], drawn as they would be at the end.
            losses: means since the last line, by name, as in "discriminator/loss".
            figures: of the family's `evaluate`: "bound", "active_units".
        """
        found = [alarm for alarm in self._found(step, progress, samples, losses, figures) if alarm is not None]
        new = [alarm for alarm in found if alarm.kind not in self._ringing]
        self._ringing = [alarm.kind for alarm in found]
        return new

    def quality(self, samples: Tensor) -> dict[str, float]:
        """FID, recall and covered modes of the samples that were looked at, to be drawn over the run; nothing for
        translations.
        """
        from generators.metrics import measure_against

        known = self._reference(samples)
        if known is None:
            return {}
        found = measure_against(samples, known, resamples=0)
        return {"fid": found.fid.value, "recall": found.recall.value, "modes": found.modes.value}

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from, as JSON."""
        return {"ringing": list(self._ringing), "past": [dict(each) for each in self._past]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._ringing, self._past = list(state["ringing"]), [dict(each) for each in state["past"]]

    def _found(
        self, step: int, progress: float, samples: Tensor, losses: Mapping[str, float], figures: Mapping[str, float]
    ) -> list[Alarm | None]:
        section, warm = self._section, progress >= self._section.warmup
        found: list[Alarm | None] = []
        if section.overfitting and "bound" in figures:
            found.append(overfits(step, self._past, losses, figures["bound"]))
        if section.posterior_collapse and warm:
            found.append(posterior_collapse(step, figures))
        known = self._reference(samples) if warm and (section.collapse or section.memorisation) else None
        if known is not None:
            features, told = known.judge.features(samples), known.judge.probabilities(samples)
            if section.collapse:
                found.append(collapse(step, features, told, known, losses))
            if section.memorisation:
                found.append(memorisation(step, features, known))
        return found

    def _reference(self, samples: Tensor) -> Reference | None:
        """What is known of the real pictures; None for translations, whose variety is that of what they are made of."""
        from generators.metrics import Reference

        if self._judge is None or self._split.train.targets is not None or len(samples) < 2:
            return None
        if self._known is None:
            self._known = Reference.of(self._split, self._judge)
        return self._known
