"""Whether what was found supports an answer: one confidence, from a few features of the best sentence.

None of the features depends on the size of the index. Two rules: `WITH_TOKENS` looks at how every token of the question
is matched too (`rag/matching.py`), `WITHOUT_TOKENS` is for embedders that know whole texts only. The weights are
logistic regressions on questions with and without their article in the index (half of the articles, the same cut into
short passages, three paragraphs in all, every second paragraph of each), fitted on six articles of SQuAD 1.1
(Rajpurkar et al. 2016) by `benchmarks/fit_support.py`; `benchmarks/answers.py` measures on seven other articles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.evidence import Evidence, weigh
from rag.matching import match
from rag.types import Hit

if TYPE_CHECKING:
    from rag.embed import Embedder

NEEDED = 0.5
"""The confidence below which there is no answer. The rules' bias is set so that 3% of the questions fitted on that have
an answer fall below it, half of the articles indexed: about 3.5% of those about an article that was left out."""
SENTENCE = 0.4
"""What a point of the best sentence's score counts for, beside the passage's score from the fusion, in [0, 1]."""
FEWEST_WORDS = 16
"""A passage of fewer words counts as one of so many: the rules were fitted on few so short."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What each of `features` adds to the log-odds of an answer when it grows by 1; `bias` is added always."""

    bias: float
    weights: tuple[float, ...]

    def confidence(self, values: Sequence[float]) -> float:
        """The odds as a probability."""
        logit = self.bias + sum(weight * value for weight, value in zip(self.weights, values, strict=True))
        return 1 / (1 + math.exp(-logit))


WITHOUT_TOKENS = Rule(bias=-7.09, weights=(9.35, 3.43, 5.65, -1.46))
WITH_TOKENS = Rule(bias=-8.5, weights=(7.29, -7.38, 3.28, 22.04, -0.98, -1.31))


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
    """Weigh what was found; embeds the sentences of the best passages, and the best passage's tokens."""
    evidence = tuple(weigh(question, hits, embedder))
    if not evidence:
        return Support()
    matched = match(question, evidence[0].hit.passage, embedder)
    rule = WITHOUT_TOKENS if matched is None else WITH_TOKENS
    return Support(evidence, rule.confidence(features(evidence[0], matched)))


def features(best: Evidence, matched: float | None = None) -> tuple[float, ...]:
    """What the weights of a rule multiply, in their order.

    Without `matched`: the cosine of the question with the sentence and with its passage, the share of the question's
    words in the passage, and whether a name or number of the question is missing there.

    With it: both cosines, the share of the words in the sentence, `matched`, the logarithm of the passage's words, and
    the missing name. Beside `matched` the passage's cosine has a negative weight: what a passage is about raises both,
    and only the match that goes beyond it tells. A long passage matches something sooner.
    """
    if matched is None:
        return best.cosine, best.passage_cosine, best.passage_coverage, float(best.lacks_name)
    length = math.log(max(FEWEST_WORDS, len(best.hit.passage.text.split())))
    return best.cosine, best.passage_cosine, best.coverage, matched, length, float(best.lacks_name)


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
