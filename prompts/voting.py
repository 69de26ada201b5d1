"""Which answer most samples agree on, and by how much. Pure functions; knows no decoder.

- `majority`: every sample counts one (Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning").
- `logprob`: a sample counts the mean probability of its tokens, exp(1/K sum log p) (there, equation 1).
- `confidence`: a sample counts the softmax of its confidence over all samples, at a temperature (Taubenfeld et al.
  2025, "Confidence Improves Self-Consistency in LLMs", definition 3.1: CISC).

A tie is broken by the number of samples, then by which answer came first, so the same samples give the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from decoder.errors import UsageError

Method: TypeAlias = Literal["majority", "logprob", "confidence"]
METHODS: tuple[Method, ...] = get_args(Method)
TEMPERATURE = 0.5
"""Of the softmax over confidences from 0 to 1: sure counts seven times unsure. The paper fits it for each model."""
_TIE = 12
"""Decimals of a weight that count; sums of the same numbers in another order differ beyond."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One sample's vote.

    Attributes:
        key: its answer in canonical form.
        text: the answer as it was written.
        logprob: mean natural-log probability of its tokens.
        confidence: how sure the model is of it, from 0 to 1.
    """

    key: str
    text: str = ""
    logprob: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """What one answer got: samples, their weight, and its share of all weight."""

    key: str
    text: str
    count: int
    weight: float
    share: float


def tally(ballots: Sequence[Ballot], method: Method = "majority", temperature: float = TEMPERATURE) -> tuple[Vote, ...]:
    """The votes for each answer, best first; empty without ballots.

    Raises:
        UsageError: there is no such method, the temperature is not above 0, or a ballot lacks the figure that the
            method weighs by.
    """
    weights = _weights(ballots, method, temperature)
    held: dict[str, list[int]] = {}
    for at, ballot in enumerate(ballots):
        held.setdefault(ballot.key, []).append(at)
    whole = math.fsum(weights)
    sums = {key: math.fsum(weights[at] for at in places) for key, places in held.items()}
    order = sorted(held, key=lambda key: (-round(sums[key] / whole, _TIE), -len(held[key]), held[key][0]))
    return tuple(Vote(key, ballots[held[key][0]].text, len(held[key]), sums[key], sums[key] / whole) for key in order)


def _weights(ballots: Sequence[Ballot], method: Method, temperature: float) -> list[float]:
    if method == "majority":
        return [1.0] * len(ballots)
    if method == "logprob":
        logprobs = _all([ballot.logprob for ballot in ballots], "log-probability", "Use a decoder that gives logprobs")
        return [math.exp(logprob) for logprob in _lifted(logprobs)]
    if method == "confidence":
        if not temperature > 0:
            raise UsageError("voting", f"temperature={temperature} is not above 0", "Choose one such as 0.5")
        sure = _all([ballot.confidence for ballot in ballots], "confidence", "Say how it is to be found out")
        highest = max(sure, default=0.0)
        exponentials = [math.exp((confidence - highest) / temperature) for confidence in sure]
        return [value / math.fsum(exponentials) for value in exponentials]
    raise UsageError("voting", f"no method is called {method!r}", f"Choose one of {', '.join(METHODS)}")


def _lifted(logprobs: list[float]) -> list[float]:
    """So far below zero that every weight would vanish, only their differences can be told."""
    highest = max(logprobs, default=0.0)
    return [logprob - highest for logprob in logprobs] if highest < -500 else logprobs


def _all(values: Sequence[float | None], what: str, remedy: str) -> list[float]:
    found = [value for value in values if value is not None]
    if len(found) < len(values) or any(math.isnan(value) for value in found):
        raise UsageError("voting", f"a sample has no {what}", f"{remedy}, or vote by majority")
    return found
