"""When enough samples have been drawn. Pure functions over votes; knows no decoder.

- Unanimity: all samples of a window give one answer (Li et al. 2024, "Escape Sky-high Cost: Early-stopping
  Self-Consistency", ESC).
- Beta rule: with v1 samples for the first answer and v2 for the second, and nothing known before, the share p of the
  first among the two is distributed as Beta(v1 + 1, v2 + 1); stop when P(p > 1/2) reaches a threshold (Aggarwal et al.
  2023, "Let's Sample Step by Step: Adaptive-Consistency").
- Worth: if an answer given with probability p is right with probability p, then knowing the true shares would gain
  E[max(0, 1 - 2p)] of the two answers' common share, p as above; stop when this is below a threshold. This is the
  expected value of perfect information, an upper bound of what more samples can gain; it ends what cannot be decided.
- Settled: the samples that are left cannot change the answer. This one costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from decoder.errors import UsageError
from prompts.voting import Vote

Reason: TypeAlias = Literal["unanimous", "sure", "worth", "settled", "all", "tokens", "seconds", "failing"]


@dataclass(frozen=True, slots=True)
class Stopping:
    """The rules; what is None or False is not applied.

    Attributes:
        window: samples of the first request, at least 1; the rules are applied after each request.
        step: samples of each later request, at least 1.
        unanimous: stop when all samples of a window, not of a smaller step, can be read and agree.
        sure: stop when the first answer leads the second with this probability, above 1/2 and below 1.
        worth: stop when more samples cannot be expected to make the answer right more often by this much, above 0.
        settled: stop when the samples that are left cannot overtake.
        tokens: of prompts and completions together, never to be passed.
        seconds: after which what there is has to do.
    """

    window: int = 4
    step: int = 2
    unanimous: bool = True
    sure: float | None = 0.95
    worth: float | None = 0.01
    settled: bool = True
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, float | None, bool], ...] = (
            ("window", self.window, self.window >= 1),
            ("step", self.step, self.step >= 1),
            ("worth", self.worth, self.worth is None or 0 < self.worth < 1),
            ("sure", self.sure, self.sure is None or 0.5 < self.sure < 1),
            ("tokens", self.tokens, self.tokens is None or self.tokens >= 1),
            ("seconds", self.seconds, self.seconds is None or self.seconds > 0),
        )
        for name, value, fits in checks:
            if not fits:
                raise UsageError("stopping rules", f"{name}={value} cannot be", "Look at the attributes of Stopping")


NEVER = Stopping(step=4, unanimous=False, sure=None, worth=None, settled=False)
"""Every sample is drawn."""


def leads(first: int, second: int) -> float:
    """P(p > 1/2) for p ~ Beta(first + 1, second + 1): how sure it is that the first of two answers is the likelier."""
    return _below_half(second + 1, first + 1)


def gain(first: int, second: int, others: int = 0) -> float:
    """How much more often an answer would be right, at most, if the true shares of the two first answers were known.

    (v1 + v2) / (v1 + v2 + others) times E[max(0, 1 - 2p)] for p ~ Beta(v1 + 1, v2 + 1).
    """
    a, b = first + 1, second + 1
    expected = _below_half(a, b) - 2 * a / (a + b) * _below_half(a + 1, b)
    return expected * (first + second) / max(1, first + second + others)


def _below_half(a: int, b: int) -> float:
    """P(p < 1/2) for p ~ Beta(a, b) of whole numbers, exactly: P(Bin(a + b - 1, 1/2) >= a)."""
    trials = a + b - 1
    return float(Fraction(sum(math.comb(trials, k) for k in range(a, trials + 1)), 2**trials))


def verdict(
    rules: Stopping, votes: Sequence[Vote], window: Sequence[str | None], left: int, most: float | None = 1.0
) -> Reason | None:
    """Why to stop now, or None to go on.

    Args:
        votes: of all samples so far, best first.
        window: the keys of the last window's samples, None for one that could not be read.
        left: samples that may still be drawn.
        most: the most that one more sample can weigh; None when that is not known.
    """
    if left <= 0:
        return "all"
    if not votes:
        return None
    second = max((vote.count for vote in votes[1:]), default=0)
    whole = len(window) >= rules.window > 1
    if rules.unanimous and whole and len(set(window)) == 1 and window[0] == votes[0].key:
        return "unanimous"
    if rules.sure is not None and leads(votes[0].count, second) >= rules.sure:
        return "sure"
    others = sum(vote.count for vote in votes) - votes[0].count - second
    if rules.worth is not None and votes[0].count >= second and gain(votes[0].count, second, others) < rules.worth:
        return "worth"
    rival = max((vote.weight for vote in votes[1:]), default=0.0)
    if rules.settled and most is not None and votes[0].weight - rival > left * most + 1e-9:
        return "settled"
    return None
