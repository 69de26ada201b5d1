"""How much the distance from the reference costs: a fixed coefficient, or one that steers towards a target.

Ziegler et al. 2019, section 2.2: e = clip((KL - target) / target, -0.2, 0.2), and beta grows by the factor 1 + K e. As
in their code and in TRL, K is the episodes seen since the last change over `horizon`.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_ERROR = 0.2


@dataclass(slots=True)
class KlControl:
    """`coefficient` is beta; `target` is a KL an episode in nats, or None for a fixed coefficient."""

    coefficient: float
    target: float | None = None
    horizon: int = 10_000

    def update(self, kl: float, episodes: int) -> None:
        """Learn from the mean KL of `episodes` episodes; a step changes beta by a fifth at most."""
        if self.target is None:
            return
        error = min(max(kl / self.target - 1, -MAX_ERROR), MAX_ERROR)
        self.coefficient *= 1 + error * min(episodes / self.horizon, 1.0)
