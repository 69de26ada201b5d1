"""How good scores are at telling the better response: accuracy, margin, log-loss, calibration, and what length has to
do with it.

Knows scores, ranks and lengths; no model and no text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alignment.reward_loss import ranked_pairs
from prompts.intervals import Interval, mean

BINS = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """One prompt's K responses: their scores, their ranks (1 is best), and their lengths in tokens without the
    prompt.
    """

    scores: tuple[float, ...]
    ranks: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair of responses: which prompt, which responses, and the better one's score minus the worse one's."""

    prompt: int
    better: int
    worse: int
    margin: float
    weight: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose predicted winner had a probability in [low, high): how many, its mean, and how often it won."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class LengthEffect:
    """What length has to do with the score.

    Attributes:
        pearson, spearman: correlation of score and length over all responses; None where either never changes.
        within_prompt: Pearson's after each prompt's means are taken away from both.
        longer_scored_higher: share of pairs of unlike length in which the longer has the higher score.
        longer_is_better: share of them in which the longer is the better one by its label.
    """

    pearson: float | None
    spearman: float | None
    within_prompt: float | None
    longer_scored_higher: float | None
    longer_is_better: float | None


@dataclass(frozen=True, slots=True)
class RewardFigures:
    """What an evaluation found.

    Each prompt counts once, however many pairs it has, as in the loss. A pair with equal scores is half right.

    Attributes:
        accuracy: share of pairs in which the better response has the higher score, with its 95% interval: Wilson's
            where each prompt has one pair, else the bootstrap over prompts, whose pairs are not independent.
        margin: mean of better minus worse.
        log_loss: mean of -log sigmoid(margin), in nats; log 2 = 0.693 is chance.
        ece: expected calibration error of sigmoid(margin) (Guo et al. 2017, equation 3).
    """

    prompts: int
    pairs: int
    accuracy: Interval
    margin: float
    log_loss: float
    ece: float
    bins: tuple[Bin, ...]
    length: LengthEffect

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        return asdict(self)


def pairs_of(scored: Sequence[Scored]) -> list[Pair]:
    """All pairs without ties, in the order of their prompts."""
    found = []
    for number, row in enumerate(scored):
        ranked = ranked_pairs(row.ranks)
        found += [Pair(number, b, w, row.scores[b] - row.scores[w], 1 / len(ranked)) for b, w in ranked]
    return found


def figures(scored: Sequence[Scored], bins: int = BINS) -> RewardFigures:
    """Everything at once; at least one pair is needed. Raises MissingExtra without scipy."""
    pairs = pairs_of(scored)
    curve = reliability(pairs, bins)
    return RewardFigures(
        prompts=len({pair.prompt for pair in pairs}),
        pairs=len(pairs),
        accuracy=accuracy(pairs),
        margin=_weighted([pair.margin for pair in pairs], pairs),
        log_loss=_weighted([_log_loss(pair.margin) for pair in pairs], pairs),
        ece=calibration_error(curve),
        bins=curve,
        length=length_effect(scored, pairs),
    )


def accuracy(pairs: Sequence[Pair]) -> Interval:
    """See `RewardFigures.accuracy`."""
    by_prompt: dict[int, list[float]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt, []).append(_right(pair.margin))
    return mean([sum(right) / len(right) for right in by_prompt.values()])


def reliability(pairs: Sequence[Pair], bins: int = BINS) -> tuple[Bin, ...]:
    """Pairs by the probability sigmoid(|margin|) of the predicted winner, in `bins` of equal width from 0.5 to 1.

    Empty bins are left out. Pairs are counted one by one here: calibration is of a comparison.
    """
    held: dict[int, list[tuple[float, float]]] = {}
    for pair in pairs:
        confidence = _sigmoid(abs(pair.margin))
        number = min(int((confidence - 0.5) * 2 * bins), bins - 1)
        held.setdefault(number, []).append((confidence, _right(pair.margin)))
    return tuple(_bin(number, bins, held[number]) for number in sorted(held))


def calibration_error(curve: Sequence[Bin]) -> float:
    """Mean of |accuracy - confidence| over bins, by their counts."""
    total = sum(found.count for found in curve)
    return sum(found.count * abs(found.accuracy - found.confidence) for found in curve) / total


def length_effect(scored: Sequence[Scored], pairs: Sequence[Pair]) -> LengthEffect:
    """Correlations over all responses, and shares over pairs."""
    scores = [score for row in scored for score in row.scores]
    lengths = [float(length) for row in scored for length in row.lengths]
    within = [(_centred(row.scores), _centred(row.lengths)) for row in scored]
    longer = [
        (row.lengths[pair.better] - row.lengths[pair.worse], pair) for pair in pairs for row in [scored[pair.prompt]]
    ]
    unlike = [(difference > 0, pair.margin) for difference, pair in longer if difference]
    return LengthEffect(
        pearson=correlation(scores, lengths),
        spearman=correlation(scores, lengths, ranked=True),
        within_prompt=correlation([s for row, _ in within for s in row], [n for _, row in within for n in row]),
        longer_scored_higher=_share([_right(margin if longer else -margin) for longer, margin in unlike]),
        longer_is_better=_share([float(longer) for longer, _ in unlike]),
    )


def correlation(first: Sequence[float], second: Sequence[float], ranked: bool = False) -> float | None:
    """Pearson's, or Spearman's of ranks; None with fewer than three values or where either never changes."""
    if len(first) < 3 or not _varies(first) or not _varies(second):
        return None
    from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]

    found = float((spearmanr if ranked else pearsonr)(first, second).statistic)
    return found if math.isfinite(found) else None


def ambiguous(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Those with the smallest margin either way: the model cannot tell them apart."""
    return sorted(pairs, key=lambda pair: abs(pair.margin))[:count]


def contradicted(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Those where the model is surest of the opposite of the label: mistakes of its own, or of the label."""
    return sorted((pair for pair in pairs if pair.margin < 0), key=lambda pair: pair.margin)[:count]


def _right(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - _sigmoid(-value)


def _log_loss(margin: float) -> float:
    return math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0)


def _weighted(values: Sequence[float], pairs: Sequence[Pair]) -> float:
    return sum(v * p.weight for v, p in zip(values, pairs, strict=True)) / sum(p.weight for p in pairs)


def _bin(number: int, bins: int, held: Sequence[tuple[float, float]]) -> Bin:
    low, high = (round(0.5 + n / (2 * bins), 9) for n in (number, number + 1))
    count = len(held)
    confidence, right = sum(c for c, _ in held) / count, sum(r for _, r in held) / count
    return Bin(low, high, count, confidence, right)


def _centred(values: Sequence[float]) -> list[float]:
    middle = sum(values) / len(values)
    return [value - middle for value in values]


def _share(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _varies(values: Sequence[float]) -> bool:
    # Where values are all but one, rounding would be correlated.
    return max(values) - min(values) > 1e-9 * max(1.0, max(map(abs, values)))
