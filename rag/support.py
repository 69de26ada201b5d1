"""Whether what was found supports an answer: one confidence, from four features of the best sentence.

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
"""The confidence below which there is no answer. BIAS is set so that 4% of the questions fitted on that have an answer
fall below it, half of the articles indexed."""
SENTENCE = 0.4
"""What a point of the best sentence's score counts for, beside the passage's score from the fusion, in [0, 1]."""
BIAS, COSINE, PASSAGE_COSINE, PASSAGE_COVERAGE, LACKS_NAME = -6.75, 9.8, 0.6, 5.2, -1.7
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
    weights = (COSINE, PASSAGE_COSINE, PASSAGE_COVERAGE, LACKS_NAME)
    logit = BIAS + sum(weight * value for weight, value in zip(weights, features(evidence[0]), strict=True))
    return Support(evidence, 1 / (1 + math.exp(-logit)))


def features(best: Evidence) -> tuple[float, float, float, float]:
    """What the weights above multiply, in their order."""
    return best.cosine, best.passage_cosine, best.passage_coverage, float(best.lacks_name)


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
