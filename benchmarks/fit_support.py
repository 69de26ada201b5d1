"""Fit the weights of `rag/evidence.py` and `rag/support.py` on the first six articles of SQuAD, and print them.

    python -m benchmarks.fit_support [FILE]

Sentences are ordered by a softmax over the sentences of one question: those that hold an accepted answer where the
article gives it should win. The confidence is a logistic regression over the best sentence of questions to three
kinds of index: half of the articles, three paragraphs in all, and every second paragraph of each article, which
counts less because some of its questions have an answer elsewhere. The confidence is refitted when the first
weights are changed in the source. Takes some minutes.
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
from rag.retrieve import Search, retrieve_steps
from rag.support import features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLAIN = Search(by_sentences=False)
NEAR_TOPIC = 0.2
"""Weight of a question to every second paragraph, beside 1 for the others."""
REFUSED_WRONGLY = 0.04
"""Share of the answerable questions, half of the articles indexed, that the threshold gives up."""
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
    """Questions to indexes that hold their answer or do not: features, truth and weight of each."""

    def __init__(self) -> None:
        self.values: list[tuple[float, ...]] = []
        self.truth: list[bool] = []
        self.kind: list[str] = []

    def add(self, kind: str, base: KnowledgeBase, question: str, has_answer: bool) -> None:
        if evidence := weighed(base, question):
            self.values.append(features(evidence[0]))
            self.truth.append(has_answer)
            self.kind.append(kind)

    def fit(self) -> tuple[float, NDArray[np.float64]]:
        """The bias and the weights of `rag.support.features`."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        values, truth, kind = np.array(self.values), np.array(self.truth), np.array(self.kind)
        middle, spread = values.mean(axis=0), values.std(axis=0)
        model: Any = LogisticRegression(class_weight="balanced")
        model.fit((values - middle) / spread, truth, sample_weight=np.where(kind == "part", NEAR_TOPIC, 1.0))
        weights: NDArray[np.float64] = model.coef_[0] / spread
        logits = values @ weights
        return -float(np.quantile(logits[truth & (kind == "half")], REFUSED_WRONGLY)), weights


def collect(articles: Sequence[Article], folder: Path, embedder: RememberingEmbedder) -> Cases:
    """Every question to both halves of the articles and of the paragraphs, and some to small indexes."""
    cases, every = Cases(), [question for article in articles for question in article.questions]
    for number in (0, 1):
        half = articles[number::2]
        base, inside = index(half, folder / f"half{number}", embedder), {article.title for article in half}
        parts = index([article.half(number) for article in articles], folder / f"part{number}", embedder)
        for question in every:
            cases.add("half", base, question.text, question.article in inside)
            cases.add("part", parts, question.text, question.paragraph % 2 == number)
    chance = random.Random(1)
    for article in articles:
        others = [question for question in every if question.article != article.title]
        for first in range(0, len(article.paragraphs) - 2, 9):
            small = article.part(range(first, first + 3))
            base = index([small], folder / f"{article.title}{first}", embedder)
            for question in small.questions:
                cases.add("small", base, question.text, True)
            for question in chance.sample(others, len(small.questions)):
                cases.add("small", base, question.text, False)
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
        bias, weights = collect(articles, folder, embedder).fit()
        print("rag/support.py: BIAS, COSINE, PASSAGE_COSINE, PASSAGE_COVERAGE, LACKS_NAME =", end=" ")
        print(round(bias, 2), weights.round(1))


if __name__ == "__main__":
    sys.exit(main())
