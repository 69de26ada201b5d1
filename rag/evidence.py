"""The sentences that may answer a question: those of the best passages, weighed and put in order.

Six features order them. None depends on the size of the index: cosines, the share of the best BM25 score, and the
share of the question's words that are met, each weighted by how rare it is among the sentences found. The weights
are a softmax over the sentences of one question, fitted on six articles of SQuAD 1.1 (Rajpurkar et al. 2016) by
`benchmarks/fit_support.py`; `benchmarks/answers.py` measures on seven other articles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from rag.sentences import Quotable, quotable
from rag.types import Hit, Passage
from rag.wanted import has_wanted, wanted
from rag.words import content_words, names, numbers

if TYPE_CHECKING:
    from rag.embed import Embedder

PASSAGES = 10
"""How many of the best passages sentences are taken from."""
WHOLE = 4
"""Of how many of them every sentence is weighed."""
LIKELY = 2
"""How many sentences of each other one are weighed, those with most of the question's words: each costs its embedding,
and these find nearly every passage that all would find."""

COSINE, PASSAGE_COSINE, COVERAGE, NEAR_COVERAGE, TERMS, WANTED = 6.0, 8.1, 4.8, 2.9, 3.1, 2.0
"""What a feature of `Evidence` adds to its score when it goes from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence that may answer the question.

    Attributes:
        hit: the passage that it stands in; `quote` has offsets into its text.
        number: its place among the sentences of that passage that were weighed.
        cosine, passage_cosine: of the question with the sentence and with the passage.
        coverage, near_coverage, passage_coverage: share of the question's words, weighted by rarity, that stand in
            the sentence, in it and its neighbours, and in the passage with its headings.
        terms: the passage's BM25 score as a share of the best one's.
        wanted: it has what the question asks for: a time, a number, a name, a reason.
        lacks_name: a name or a number of the question stands nowhere in the passage or its headings.
    """

    hit: Hit
    quote: Quotable
    number: int
    cosine: float
    passage_cosine: float
    coverage: float
    near_coverage: float
    passage_coverage: float
    terms: float
    wanted: bool
    lacks_name: bool

    @property
    def features(self) -> tuple[float, ...]:
        """What the weights above multiply, in their order."""
        return self.cosine, self.passage_cosine, self.coverage, self.near_coverage, self.terms, float(self.wanted)

    @property
    def score(self) -> float:
        """What sentences are ordered by; only differences mean something."""
        weights = (COSINE, PASSAGE_COSINE, COVERAGE, NEAR_COVERAGE, TERMS, WANTED)
        return sum(weight * value for weight, value in zip(weights, self.features, strict=True))


def weigh(question: str, hits: Sequence[Hit], embedder: Embedder) -> list[Evidence]:
    """The sentences of the best PASSAGES hits, best first; embeds them. Empty when nothing was found."""
    best, asked, found = _with_cosines(question, hits[:PASSAGES], embedder), _Asked(question, hits), list[Evidence]()
    for at, hit in enumerate(best):
        items = asked.weigh(hit, _fresh_quotes(hit.passage, best[:at]))
        found += items if at < WHOLE else sorted(items, key=lambda item: -item.score)[:LIKELY]
    if not found:
        return []
    vectors = embedder.embed([_read(item.quote) for item in found])
    cosines = (vectors @ embedder.embed_query(question)).tolist()
    evidence = [replace(item, cosine=cosine) for item, cosine in zip(found, cosines, strict=True)]
    return sorted(evidence, key=lambda item: -item.score)


def passage_words(passage: Passage) -> set[str]:
    """Stems of a passage with its title, headings and context, which say what it is about."""
    return set(content_words(" ".join((passage.title, *passage.heading, passage.context, passage.text))))


class _Asked:
    """What a question asks for, compared with the sentences of one passage at a time."""

    def __init__(self, question: str, hits: Sequence[Hit]) -> None:
        self.words = set(content_words(question))
        self.named = names(question) | numbers(question)
        self.kind = wanted(question)
        self.rarity = _rarity(sorted(self.words), hits)
        self.most_terms = max((hit.sparse or 0.0 for hit in hits), default=0.0) or 1.0

    def weigh(self, hit: Hit, quotes: Sequence[Quotable]) -> list[Evidence]:
        """Each quote with all of its features but the cosine, which is 0."""
        words = [set(content_words(_read(quote))) for quote in quotes]
        whole = passage_words(hit.passage)
        return [
            Evidence(
                hit,
                quote,
                at,
                cosine=0.0,
                passage_cosine=hit.dense or 0.0,
                coverage=self._covered(words[at]),
                near_coverage=self._covered(set().union(*words[max(0, at - 1) : at + 2])),
                passage_coverage=self._covered(whole),
                terms=(hit.sparse or 0.0) / self.most_terms,
                wanted=has_wanted(self.kind, quote.text, self.words),
                lacks_name=not self.named <= whole,
            )
            for at, quote in enumerate(quotes)
        ]

    def _covered(self, words: set[str]) -> float:
        return sum(weight for word, weight in self.rarity.items() if word in words)


def _read(quote: Quotable) -> str:
    return f"{quote.lead} {quote.text}".strip()


def _rarity(asked: Sequence[str], hits: Sequence[Hit]) -> dict[str, float]:
    """Weight of each word asked for, summing to 1: rare among the sentences found weighs more."""
    sentences = [words for hit in hits for words in _sentence_words(hit.passage.text)]
    weights = {word: math.log(1 + (len(sentences) + 1) / (0.5 + sum(word in s for s in sentences))) for word in asked}
    total = sum(weights.values()) or 1.0
    return {word: weight / total for word, weight in weights.items()}


@lru_cache(maxsize=1024)
def _sentence_words(text: str) -> tuple[frozenset[str], ...]:
    """Stems of each sentence of a passage; remembered, because the same passages are found again and again."""
    return tuple(frozenset(content_words(quote.text)) for quote in quotable(text))


def _fresh_quotes(passage: Passage, better: Sequence[Hit]) -> list[Quotable]:
    """Quotes of a passage, without those that a better passage of the same document holds too."""
    seen = [(hit.passage.start, hit.passage.end) for hit in better if hit.passage.source == passage.source]
    return [
        quote
        for quote in quotable(passage.text)
        if not any(start <= passage.start + quote.start and passage.start + quote.end <= end for start, end in seen)
    ]


def _with_cosines(question: str, hits: Sequence[Hit], embedder: Embedder) -> list[Hit]:
    """The hits with their cosine; passages that only sparse search found are embedded now, as the index would."""
    from rag.searchable import searchable

    missing = [hit for hit in hits if hit.dense is None]
    if not missing:
        return list(hits)
    vectors = embedder.embed([searchable(hit.passage) for hit in missing]) @ embedder.embed_query(question)
    known = {hit.passage.id: float(cosine) for hit, cosine in zip(missing, vectors, strict=True)}
    return [replace(hit, dense=known.get(hit.passage.id, hit.dense)) for hit in hits]
