"""Whether what was found supports an answer: one confidence, from five features of the best sentence.

None of the features depends on the size of the index. The weights are a logistic regression on questions with and
without their article in the index (half of the articles, three passages in all, every second paragraph of each),
fitted on six articles of SQuAD 1.1 (Rajpurkar et al. 2016) by `benchmarks/fit_support.py`; `benchmarks/answers.py`
measures on seven other articles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.evidence import Evidence, weigh
from rag.types import Hit

if TYPE_CHECKING:
    from rag.embed import Embedder

NEEDED = 0.5
"""The confidence below which there is no answer; BIAS is set so that 3% of the answerable questions fall below it."""
SENTENCE = 0.1
"""What a point of the best sentence's score counts for, beside the passage's score from the fusion, in [0, 1]."""
NEXT = 5
"""How many of the other sentences the best one is compared with."""
NO_OTHERS = 0.2
"""The lead of a sentence that is alone: about what the best one has where there is an answer."""

BIAS, COSINE, PASSAGE_COSINE, PASSAGE_COVERAGE, LACKS_NAME, LEAD = -6.6, 6.4, 3.3, 4.9, -1.5, 9.2
"""What a feature adds to the log-odds of an answer when it goes from 0 to 1; BIAS is added always."""


@dataclass(frozen=True, slots=True)
class Support:
    """Evidence, best first, and the confidence that the best of it answers the question."""

    evidence: tuple[Evidence, ...] = ()
    confidence: float = 0.0

    @property
    def enough(self) -> bool:
        """Whether there is an answer at all."""
        return self.confidence >= NEEDED


def assess(question: str, hits: Sequence[Hit], embedder: Embedder) -> Support:
    """Weigh what was found; embeds the sentences of the best passages."""
    evidence = tuple(weigh(question, hits, embedder))
    if not evidence:
        return Support()
    weights = (COSINE, PASSAGE_COSINE, PASSAGE_COVERAGE, LACKS_NAME, LEAD)
    logit = BIAS + sum(weight * value for weight, value in zip(weights, features(evidence), strict=True))
    return Support(evidence, 1 / (1 + math.exp(-logit)))


def features(evidence: Sequence[Evidence]) -> tuple[float, ...]:
    """What the weights above multiply, in their order, for evidence that is not empty and best first.

    The lead is how far the best sentence's cosine stands above the mean of the NEXT highest others: a document on
    the same topic without the answer has many sentences that are about equally near.
    """
    best, others = evidence[0], sorted((item.cosine for item in evidence[1:]), reverse=True)[:NEXT]
    lead = best.cosine - sum(others) / len(others) if others else NO_OTHERS
    return best.cosine, best.passage_cosine, best.passage_coverage, float(best.lacks_name), lead


def best_first(hits: Sequence[Hit], support: Support) -> list[Hit]:
    """The hits in order of what finds a passage together with its best sentence; those not weighed follow.

    The sum finds the one passage that answers a question more often than either part, and on collections where many
    documents are relevant it ranks as well as the search alone.
    """
    best: dict[str, float] = {}
    for item in support.evidence:
        best.setdefault(item.hit.passage.id, item.score)

    def worth(hit: Hit) -> float:
        key = hit.passage.id
        return -(hit.score + SENTENCE * best[key]) if key in best else math.inf

    return sorted(hits, key=worth)
