"""Fit the weights of `rag/evidence.py` and `rag/support.py` on the first six articles of SQuAD, and print them.

    python -m benchmarks.fit_support [FILE]

Sentences are ordered by a softmax over the sentences of one question: those that hold an accepted answer where the
article gives it should win. The confidence is a logistic regression over the best sentence of questions to four
kinds of index: half of the articles, the same cut into short passages, three paragraphs in all, and every second
paragraph of each article, which counts less because some of its questions have an answer elsewhere. For each rule of
the confidence two shares are printed that are found by leaving each article out of the fit in turn, threshold
included: questions refused without an answer and with one, half of the articles indexed. The confidence is refitted
when the first weights are changed in the source. Takes some minutes.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.squad import FILE, TUNED_ON, Article, Question, RememberingEmbedder, index, read
from rag import KnowledgeBase
from rag.evidence import Evidence, weigh
from rag.matching import match
from rag.retrieve import Search, retrieve_steps
from rag.settings import RagSettings
from rag.support import Rule, features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLAIN = Search(by_sentences=False)
NEAR_TOPIC = 0.2
"""Weight of a question to every second paragraph, beside 1 for the others."""
SHORT = 48
"""Tokens of a short passage, so that the confidence does not hang on how documents are cut."""
REFUSED_WRONGLY = 0.02
"""Share of the answerable questions, half of the articles indexed, that the threshold gives up. Of an article that was
left out of the fit it gives up more: .025, and it refuses .980 of the unanswerable ones, so that there is about as much
room to the one bar (.05) as to the other (.96)."""
SHRINK = 1e-3
"""Penalty on the squared weights of standardised features."""


def weighed(base: KnowledgeBase, question: str) -> list[Evidence]:
    """Evidence as an answer would use it."""
    return weigh(question, retrieve_steps(question, base.store, base.embedder, PLAIN).fused, base.embedder)


def fit_order(base: KnowledgeBase, asked: Sequence[Question]) -> NDArray[np.float64]:
    """Weights of `Evidence.features` that make a sentence with the answer likeliest."""
    import numpy as np
    from scipy.optimize import minimize

    lists = []
    for question in asked:
        evidence = weighed(base, question.text)
        right = [_holds(item, question) for item in evidence]
        if any(right):
            lists.append((np.array([item.features for item in evidence]), np.array(right)))
    spread = np.concatenate([values for values, _ in lists]).std(axis=0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, slope = 0.0, np.zeros_like(weights)
        for values, right in lists:
            scaled = values / spread
            likely = np.exp(scaled @ weights - (scaled @ weights).max())
            of_right = likely * right
            total -= float(np.log(of_right.sum() / likely.sum()))
            slope += scaled.T @ (likely / likely.sum() - of_right / of_right.sum())
        penalty = SHRINK * float(weights @ weights)
        return total / len(lists) + penalty, slope / len(lists) + 2 * SHRINK * weights

    fitted: NDArray[np.float64] = minimize(loss, np.zeros(len(spread)), jac=True, method="L-BFGS-B").x / spread
    return fitted


def _holds(item: Evidence, question: Question) -> bool:
    start = item.hit.passage.start
    return Path(item.hit.passage.source).stem == question.article and any(
        start + item.quote.start <= a and b <= start + item.quote.end for a, b in question.spans
    )


class Cases:
    """Questions to indexes that hold their answer or do not: features of each rule, truth, kind of index, article."""

    def __init__(self) -> None:
        self.without: list[tuple[float, ...]] = []
        self.with_tokens: list[tuple[float, ...]] = []
        self.facts: list[tuple[bool, str, str]] = []

    def add(self, kind: str, base: KnowledgeBase, question: Question, has_answer: bool) -> None:
        """Ask, and keep what the best sentence is like; without any sentence there is nothing to learn."""
        if evidence := weighed(base, question.text):
            matched = match(question.text, evidence[0].hit.passage, base.embedder)
            self.without.append(features(evidence[0]))
            self.with_tokens.append(features(evidence[0], matched))
            self.facts.append((has_answer, kind, question.article))


class Fit:
    """One rule, fitted on cases."""

    def __init__(self, values: Sequence[tuple[float, ...]], facts: Sequence[tuple[bool, str, str]]) -> None:
        import numpy as np

        self.values = np.array(values)
        self.truth, self.kind, self.article = (np.array(column) for column in zip(*facts, strict=True))

    def rule(self, left_out: str = "") -> Rule:
        """Bias and weights, from the questions to every article but one."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        kept = self.article != left_out
        values, truth, kind = self.values[kept], self.truth[kept], self.kind[kept]
        middle, spread = values.mean(axis=0), values.std(axis=0)
        model: Any = LogisticRegression(class_weight="balanced")
        model.fit((values - middle) / spread, truth, sample_weight=np.where(kind == "part", NEAR_TOPIC, 1.0))
        weights = model.coef_[0] / spread
        bias = -float(np.quantile((values @ weights)[truth & (kind == "half")], REFUSED_WRONGLY))
        return Rule(round(bias, 2), tuple(weights.round(2).tolist()))

    def refused(self) -> tuple[float, float]:
        """Shares of the questions to half of the articles, without and with an answer, each article left out once."""
        import numpy as np

        logits = np.empty(len(self.truth))
        for article in set(self.article.tolist()):
            rule, here = self.rule(article), self.article == article
            logits[here] = rule.bias + self.values[here] @ np.array(rule.weights)
        half = self.kind == "half"
        return tuple(float((logits[half & (self.truth == has)] < 0).mean()) for has in (False, True))


def collect(articles: Sequence[Article], folder: Path, embedder: RememberingEmbedder) -> Cases:
    """Every question to both halves of the articles, cut in two ways, and of the paragraphs; some to small indexes."""
    cases, every = Cases(), [question for article in articles for question in article.questions]
    for number in (0, 1):
        half = articles[number::2]
        base, inside = index(half, folder / f"half{number}", embedder), {article.title for article in half}
        parts = index([article.half(number) for article in articles], folder / f"part{number}", embedder)
        short = index(half, folder / f"short{number}", embedder, RagSettings(chunk_tokens=SHORT))
        for question in every:
            cases.add("half", base, question, question.article in inside)
            cases.add("short", short, question, question.article in inside)
            cases.add("part", parts, question, question.paragraph % 2 == number)
    chance = random.Random(1)
    for article in articles:
        others = [question for question in every if question.article != article.title]
        for first in range(0, len(article.paragraphs) - 2, 9):
            small = article.part(range(first, first + 3))
            base = index([small], folder / f"{article.title}{first}", embedder)
            for question in small.questions:
                cases.add("small", base, question, True)
            for question in chance.sample(others, len(small.questions)):
                cases.add("small", base, question, False)
    return cases


def main() -> None:
    """Print the constants as they stand in the source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    articles, embedder = read(parser.parse_args().file)[:TUNED_ON], RememberingEmbedder()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = index(articles, folder / "whole", embedder)
        order = fit_order(base, [question for article in articles for question in article.questions])
        print("rag/evidence.py: COSINE, PASSAGE_COSINE, COVERAGE, NEAR_COVERAGE, TERMS, WANTED =", order.round(1))
        cases = collect(articles, folder, embedder)
    for name, values in (("WITHOUT_TOKENS", cases.without), ("WITH_TOKENS", cases.with_tokens)):
        fit = Fit(values, cases.facts)
        print(f"rag/support.py: {name} = {fit.rule()}")
        print("  each article left out: refused without an answer {:.3f}, with one {:.3f}".format(*fit.refused()))


if __name__ == "__main__":
    sys.exit(main())
