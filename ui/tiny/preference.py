"""What preference training did: how often an answer is as preferred, before and after, and the KL that was spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignment.tiny.preferences import preferred, prompt
from prompts.intervals import Interval, mean
from prompts.results import EvalProgress
from ui.tiny.data import Row, seeded
from ui.tiny.scores import Score, Tell, chosen, scores

if TYPE_CHECKING:
    from alignment.policies import Answer, Policies

AT_ONCE = 16
"""Prompts that are drawn for together."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The KL from the base in nats an answer, as the mean of log-ratios over the policy's own answers."""

    nats: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one policy answers.

    Attributes:
        model: the folder as it was given.
        scores: answers that are as preferred: of all, of questions that the passages answer, and of the others.
        words: of an answer, in the mean.
        wins: share of prompts on which its answer is as preferred and the base's is not, ties counted as half; None
            for the base.
        kl: None for the base.
    """

    model: str
    scores: tuple[Score, ...]
    words: Interval
    wins: Interval | None = None
    kl: Spent | None = None


def learnt(
    base: str, adapters: Sequence[str], cases: int, seed: int, tell: Tell = lambda _: None
) -> tuple[Learnt, ...]:
    """The base, then each adapter, on the same held-out prompts with one answer each at temperature 1.

    Args:
        cases: at least 2.

    Raises:
        MissingExtra: what training needs is not installed.
        ModelError, WrongBase: base or adapters cannot be loaded.
        Diverged: a policy's probabilities are no numbers.
    """
    from alignment.models import require_training

    require_training()
    from alignment.policies import Policies

    rows, policies = held_out(cases, seed), Policies(base, adapters)
    total = cases * (1 + len(adapters))
    first = _drawn(policies, None, rows, seed, _from(tell, 0, total))
    before = _right(first, rows)
    found = [Learnt(base, _scores(before, rows), _words(first))]
    for at, name in enumerate(adapters):
        answers = _drawn(policies, at, rows, seed, _from(tell, cases * (1 + at), total))
        right = _right(answers, rows)
        kl = spent([each.nats for each in answers])
        found.append(Learnt(name, _scores(right, rows), _words(answers), wins(right, before), kl))
    return tuple(found)


def held_out(cases: int, seed: int) -> list[Row]:
    """Prompts in wordings and with names that training leaves out."""
    random = seeded(seed, "test preference")
    return [prompt(random, "test") for _ in range(cases)]


def wins(right: Sequence[bool], before: Sequence[bool]) -> Interval:
    """Against the base, prompt by prompt: 1 for a win, a half for a tie; the bootstrap draws prompts."""
    return mean([(1 + after - ago) / 2 for after, ago in zip(right, before, strict=True)])


def spent(nats: Sequence[float]) -> Spent:
    """The mean of at least two log-ratios, and its standard error."""
    from statistics import fmean, stdev

    return Spent(fmean(nats), stdev(nats) / len(nats) ** 0.5)


def _drawn(policies: Policies, adapter: int | None, rows: Sequence[Row], seed: int, tell: Tell) -> list[Answer]:
    answers: list[Answer] = []
    for start in range(0, len(rows), AT_ONCE):
        tell(EvalProgress("asking", start, len(rows)))
        drawn_by = seeded(seed, f"answers {start}").getrandbits(62)
        answers += policies.draw(adapter, rows[start : start + AT_ONCE], drawn_by)
    return answers


def _from(tell: Tell, done: int, total: int) -> Tell:
    """Tells how far one policy is as a part of all."""
    return lambda event: tell(EvalProgress("asking", done + event.done, total))


def _right(answers: Sequence[Answer], rows: Sequence[Row]) -> list[bool]:
    return [preferred(answer.text, row["span"]) for answer, row in zip(answers, rows, strict=True)]


def _scores(right: Sequence[bool], rows: Sequence[Row]) -> tuple[Score, ...]:
    answered = [bool(row["span"]) for row in rows]
    judged = {
        "preferred": right,
        "preferred, where passages tell": chosen(right, answered),
        "preferred, where they do not": chosen(right, [not each for each in answered]),
    }
    return scores(judged)


def _words(answers: Sequence[Answer]) -> Interval:
    return mean([float(len(answer.text.split())) for answer in answers])
