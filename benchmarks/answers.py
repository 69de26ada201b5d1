"""How good answers without a decoder are: the passage is found, the quote holds the answer, the rest is refused.

    python -m benchmarks.answers [FILE] [--questions 1500] [--tune]

FILE is SQuAD 1.1 as JSON with 13 articles; without it: HEARTH_TEST_DATA/squad/squad-13-articles.json. The last seven
articles, by name, report; the first six were fitted on (`--tune` measures those). Everything goes through
`KnowledgeBase.ask` with its defaults:

- every article of the group in one index: recall of the passages, and whether the quote holds an accepted answer,
  a refusal holding nothing;
- half of the articles in the index: a question about the other half has no answer there;
- every second paragraph of each article in the index: the questions about the paragraphs between them are near its
  topic. Some do have an answer elsewhere in the article, so no more than most of them can be refused.

Intervals are 95%, Wilson's. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.squad import FILE, TUNED_ON, Question, RememberingEmbedder, index, read
from rag import Answer, KnowledgeBase
from rag.embed import SentenceEmbedder

TIMED = 100


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, and the target, which is a least or a most."""

    name: str
    yes: int
    of: int
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        value = self.yes / self.of
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        from scipy.stats import binomtest

        bounds = binomtest(self.yes, self.of).proportion_ci(method="wilson")
        target = f"at least {self.least}" if self.least else f"at most {self.most}" if self.most else ""
        verdict = (target + ("" if self.met else "  MISSED")).rstrip()
        return f"{self.name:44} {self.yes / self.of:.3f} [{bounds.low:.3f}, {bounds.high:.3f}]  {verdict}".rstrip()


def holds(answer: Answer, question: Question) -> bool:
    """Whether a quote has one of the accepted answers in it."""
    quotes = " ".join(" ".join(c.quote for c in answer.citations).lower().split())
    return any(" ".join(accepted.lower().split()) in quotes for accepted in question.answers)


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative."""
    pairs = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return pairs / (len(positive) * len(negative))


def measure_answers(base: KnowledgeBase, asked: Sequence[Question]) -> tuple[list[Share], float]:
    """Recall and quotes over all questions, and the mean words of a quote."""
    answers = [base.ask(question.text) for question in asked]
    pairs = list(zip(answers, asked, strict=True))

    def found(k: int) -> int:
        return sum(any(q.answered_by(hit.passage) for hit in a.passages[:k]) for a, q in pairs)

    shares = [
        Share("recall@1", found(1), len(asked), least=0.81),
        Share("recall@5", found(5), len(asked), least=0.955),
        Share("a quote holds an accepted answer", sum(holds(a, q) for a, q in pairs), len(asked), least=0.81),
    ]
    given = [a for a in answers if not a.refused]
    return shares, sum(len(c.quote.split()) for a in given for c in a.citations) / len(given)


def measure_refusals(
    name: str, cases: Sequence[tuple[KnowledgeBase, Sequence[tuple[Question, bool]]]], bars: bool
) -> tuple[list[Share], float]:
    """Refusals of questions that have an answer in their index (True) and of those that have none, and the AUC."""
    answered: dict[bool, list[Answer]] = {True: [], False: []}
    for base, questions in cases:
        for question, has_answer in questions:
            answered[has_answer].append(base.ask(question.text))
    refused = {key: sum(answer.refused for answer in answers) for key, answers in answered.items()}
    shares = [
        Share(f"{name}: refused without an answer", refused[False], len(answered[False]), least=0.96 if bars else None),
        Share(f"{name}: refused with an answer", refused[True], len(answered[True]), most=0.05 if bars else None),
    ]
    return shares, auc(*([answer.confidence for answer in answered[key]] for key in (True, False)))


def latency(folder: Path, asked: Sequence[Question]) -> str:
    """Median and 95th percentile of `ask`, with nothing remembered but what a running process has loaded."""
    base = KnowledgeBase("bench", embedder=SentenceEmbedder(), home=folder / "indexes")
    seconds = []
    for question in asked[: TIMED + 1]:
        started = time.perf_counter()
        base.ask(question.text)
        seconds.append(time.perf_counter() - started)
    ordered = sorted(seconds[1:])  # the first one loads the model
    return f"seconds an answer                            {ordered[len(ordered) // 2]:.3f}, p95 {ordered[-6]:.3f}"


def main() -> int:
    """Print the figures; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--tune", action="store_true", help="measure the articles that were fitted on")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started, every = time.monotonic(), read(options.file)
    articles = every[:TUNED_ON] if options.tune else every[TUNED_ON:]
    asked = [question for article in articles for question in article.questions]
    asked = random.Random(options.seed).sample(asked, min(options.questions, len(asked)))
    embedder = RememberingEmbedder()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shares, words = measure_answers(index(articles, folder / "whole", embedder), asked)
        halves = []
        for number, half in enumerate((articles[::2], articles[1::2])):
            inside = {article.title for article in half}
            base = index(half, folder / f"half{number}", embedder)
            halves.append((base, [(question, question.article in inside) for question in asked]))
        far, far_auc = measure_refusals("half of the articles", halves, bars=True)
        parts = []
        for which in (0, 1):
            base = index([article.half(which) for article in articles], folder / f"part{which}", embedder)
            parts.append((base, [(question, question.paragraph % 2 == which) for question in asked]))
        near, near_auc = measure_refusals("half of the paragraphs", parts, bars=False)
        timing = latency(folder / "whole", asked)
    shares += [*far, *near]
    print(f"{len(asked)} questions, {len(articles)} articles, 95% intervals")
    print(*shares, sep="\n")
    print(f"words of a quote, mean                       {words:.1f}  at most 60{'' if words <= 60 else '  MISSED'}")
    print(f"AUC, half of the articles, of the paragraphs {far_auc:.4f}, {near_auc:.4f}")
    print(timing)
    print(f"measured in {(time.monotonic() - started) / 60:.1f} minutes")
    return 0 if words <= 60 and all(share.met for share in shares) else 1


if __name__ == "__main__":
    sys.exit(main())
