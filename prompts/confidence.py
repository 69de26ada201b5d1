"""How sure a model is of a sample it has drawn, from 0 to 1, for the confidence-weighted vote.

Taubenfeld et al. 2025, "Confidence Improves Self-Consistency in LLMs", section 3: P(True), response probability.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from decoder import constraint
from decoder.base import Decoder
from decoder.errors import UsageError
from decoder.types import Choice, Completion, Message, Sampling, Usage, assistant, user

STEP = "weighing samples"
QUESTION = "Is the final answer above right? Reply with the single digit 1 if it is, and 0 if it is not."
ALTERNATIVES = 10
Confidence: TypeAlias = Callable[[Decoder, tuple[Message, ...], Choice], Awaitable[tuple[float, Usage]]]
"""Given the decoder, what was asked and one completion: how sure, and the tokens that finding out took."""


def mean_logprob(choice: Choice) -> float | None:
    """Mean natural-log probability of the tokens; None when the decoder gave none."""
    scores = choice.logprobs
    return math.fsum(token.logprob for token in scores) / len(scores) if scores else None


async def response_probability(decoder: Decoder, messages: tuple[Message, ...], choice: Choice) -> tuple[float, Usage]:
    """The mean probability of the sample's tokens, exp(1/K sum log p). Raises UsageError without logprobs."""
    mean = mean_logprob(choice)
    if mean is None:
        raise UsageError(STEP, "the decoder gave no log-probabilities", "Use p_true, or vote by majority")
    return math.exp(min(0.0, mean)), Usage()


async def p_true(decoder: Decoder, messages: tuple[Message, ...], choice: Choice) -> tuple[float, Usage]:
    """The probability that the model, shown its sample, replies 1 and not 0; its prompt shares the sample's prefix.

    Where the decoder gives no log-probabilities it is the reply itself, 0 or 1 (the paper's verbal binary), and 1/2
    for any other reply. Raises DecoderError leaves.
    """
    asked = (*messages, assistant(choice.text), user(QUESTION))
    limit = constraint.choice(["0", "1"]) if "choice" in decoder.constraints else None
    sampling = Sampling(temperature=0, max_tokens=1 if limit is None else 4, logprobs=ALTERNATIVES)
    completion = await decoder.acomplete(asked, sampling=sampling, constraint=limit)
    return _probability_of_one(completion), completion.usage


def _probability_of_one(completion: Completion) -> float:
    reply = completion.choices[0]
    first = (reply.logprobs or ())[:1]
    mass = {digit: _mass(digit, first[0].top) if first else 0.0 for digit in ("0", "1")}
    if sum(mass.values()) > 0:
        return mass["1"] / sum(mass.values())
    return {"0": 0.0, "1": 1.0}.get(reply.text.strip()[:1], 0.5)


def _mass(digit: str, top: Sequence[tuple[str, float]]) -> float:
    return sum(math.exp(logprob) for token, logprob in top if token.strip() == digit)
