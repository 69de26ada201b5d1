"""How well what was found supports an answer: every sentence of the best passages scored, and one confidence.

Six features rank the sentences, three of the best one give the confidence. None depends on the size of the index:
cosines, and the share of the question's words that are met, each weighted by how rare it is among the sentences
found. The weights were fitted on six articles of SQuAD 1.1 (Rajpurkar et al. 2016): the ranking by a softmax over
the sentences of one question, the confidence by logistic regression on questions with and without their article in
the index, some with three paragraphs in all, some with two paragraphs of an article that is otherwise absent.
`benchmarks/answers.py` measures both on seven other articles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.sentences import Quotable, quotable
from rag.types import Hit, Passage
from rag.wanted import has_wanted, wanted
from rag.words import content_words

if TYPE_CHECKING:
    from rag.embed import Embedder

PASSAGES = 5
"""How many of the best passages sentences are taken from."""
NEEDED = 0.5
"""The confidence below which there is no answer."""

COSINE, PASSAGE_COSINE, COVERAGE, NEAR_COVERAGE, PASSAGE_COVERAGE, WANTED = 4.8, 3.8, 4.5, 3.3, 2.1, 1.5
BIAS, BY_COSINE, BY_PASSAGE_COSINE, BY_PASSAGE_COVERAGE = -10.0, 10.3, 4.0, 8.1


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence that may answer the question.

    Attributes:
        hit: the passage that it stands in; `quote` has offsets into its text.
        cosine, passage_cosine: of the question with the sentence and with the passage.
        coverage, near_coverage, passage_coverage: share of the question's words, weighted by rarity, that stand in
            the sentence, in it and its neighbours, and in the passage with its headings.
        wanted: it has what the question asks for: a time, a number, a name, a reason.
    """

    hit: Hit
    quote: Quotable
    cosine: float
    passage_cosine: float
    coverage: float
    near_coverage: float
    passage_coverage: float
    wanted: bool

    @property
    def score(self) -> float:
        """What sentences are ordered by; only differences mean something."""
        return (
            COSINE * self.cosine
            + PASSAGE_COSINE * self.passage_cosine
            + COVERAGE * self.coverage
            + NEAR_COVERAGE * self.near_coverage
            + PASSAGE_COVERAGE * self.passage_coverage
            + WANTED * self.wanted
        )

    @property
    def confidence(self) -> float:
        """Probability that the passage answers the question, in [0, 1]."""
        logit = BIAS + BY_COSINE * self.cosine + BY_PASSAGE_COSINE * self.passage_cosine
        return 1 / (1 + math.exp(-(logit + BY_PASSAGE_COVERAGE * self.passage_coverage)))


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
    """Weigh what was found. Embeds the sentences of the best PASSAGES hits."""
    asked = list(dict.fromkeys(content_words(question)))
    rarity = _rarity(asked, hits)
    best = _with_cosines(question, hits[:PASSAGES], embedder)
    found = [(hit, quotes) for hit in best if (quotes := _fresh_quotes(hit.passage, best))]
    texts = [f"{q.lead} {q.text}".strip() for _, quotes in found for q in quotes]
    if not texts:
        return Support()
    cosines = iter((embedder.embed(texts) @ embedder.embed_query(question)).tolist())
    kind = wanted(question)
    evidence = []
    for hit, quotes in found:
        words = [set(content_words(f"{q.lead} {q.text}")) for q in quotes]
        whole = _coverage(rarity, passage_words(hit.passage))
        for at, (quote, own) in enumerate(zip(quotes, words, strict=True)):
            near = _coverage(rarity, set().union(*words[max(0, at - 1) : at + 2]))
            has = has_wanted(kind, quote.text, set(asked))
            covered = _coverage(rarity, own)
            evidence.append(Evidence(hit, quote, next(cosines), hit.dense or 0.0, covered, near, whole, has))
    evidence.sort(key=lambda item: -item.score)
    return Support(tuple(evidence), evidence[0].confidence)


def passage_words(passage: Passage) -> set[str]:
    """Stems of a passage with its title, headings and context, which say what it is about."""
    return set(content_words(" ".join((passage.title, *passage.heading, passage.context, passage.text))))


def _rarity(asked: Sequence[str], hits: Sequence[Hit]) -> dict[str, float]:
    """Weight of each word asked for, summing to 1: rare among the sentences found weighs more."""
    sentences = [set(content_words(quote.text)) for hit in hits for quote in quotable(hit.passage.text)]
    weights = {word: math.log(1 + (len(sentences) + 1) / (0.5 + sum(word in s for s in sentences))) for word in asked}
    total = sum(weights.values()) or 1.0
    return {word: weight / total for word, weight in weights.items()}


def _coverage(rarity: dict[str, float], words: set[str]) -> float:
    return sum(weight for word, weight in rarity.items() if word in words)


def _fresh_quotes(passage: Passage, hits: Sequence[Hit]) -> list[Quotable]:
    """Quotes of a passage, without those that overlap with a better passage of the same document."""
    better = [
        h.passage for h in hits[: [h.passage.id for h in hits].index(passage.id)] if h.passage.source == passage.source
    ]
    return [
        quote
        for quote in quotable(passage.text)
        if not any(p.start <= passage.start + quote.start and passage.start + quote.end <= p.end for p in better)
    ]


def _with_cosines(question: str, hits: Sequence[Hit], embedder: Embedder) -> list[Hit]:
    """The hits with their cosine; passages that only sparse search found are embedded now."""
    from dataclasses import replace

    missing = [hit for hit in hits if hit.dense is None]
    if not missing:
        return list(hits)
    vectors = embedder.embed([hit.passage.text for hit in missing]) @ embedder.embed_query(question)
    known = {hit.passage.id: float(cosine) for hit, cosine in zip(missing, vectors, strict=True)}
    return [replace(hit, dense=known.get(hit.passage.id, hit.dense)) for hit in hits]
