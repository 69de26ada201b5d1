"""How good answers without a decoder are: the quote holds the answer, and questions without an answer are refused.

    python benchmarks/answers.py [FILE] [--questions 1000] [--tune]

FILE is SQuAD 1.1 as JSON with 13 articles; without it: HEARTH_TEST_DATA/squad/squad-13-articles.json. The last seven
articles, by name, measure; the first six were fitted on (`--tune` measures those). Answers are measured with every
article of the group in one index, refusals with half of them: a question about the other half has no answer there.
Everything goes through `KnowledgeBase.ask`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag import Answer, KnowledgeBase
from rag.embed import SentenceEmbedder
from rag.settings import RagSettings
from rag.store import open_store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TUNED_ON = 6
TARGETS = {"holds": 0.79, "words": 60.0, "refused": 0.96, "wrongly": 0.05}


class RememberingEmbedder(SentenceEmbedder):
    """The default embedder, which embeds nothing twice: the indexes of this benchmark share passages."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        new = list(dict.fromkeys(text for text in texts if text not in self.known))
        if new:
            self.known.update(zip(new, super().embed(new), strict=True))
        return np.stack([self.known[text] for text in texts])


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the article that answers it, and the accepted answers."""

    text: str
    article: str
    answers: tuple[str, ...]


def read(file: Path) -> dict[str, dict[str, Any]]:
    """Articles by name, in order of name."""
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    return {a["title"]: a for a in sorted(articles, key=lambda a: str(a["title"]))}


def questions(articles: Sequence[dict[str, Any]], count: int, seed: int) -> list[Question]:
    """A sample of the articles' questions."""
    found = [
        Question(q["question"], a["title"], tuple(answer["text"] for answer in q["answers"]))
        for a in articles
        for paragraph in a["paragraphs"]
        for q in paragraph["qas"]
    ]
    return random.Random(seed).sample(found, min(count, len(found)))


def index(articles: Sequence[dict[str, Any]], folder: Path, embedder: SentenceEmbedder) -> KnowledgeBase:
    """A knowledge base in memory with one text file per article."""
    folder.mkdir()
    for article in articles:
        text = "\n\n".join(paragraph["context"] for paragraph in article["paragraphs"])
        (folder / f"{article['title']}.txt").write_text(text, encoding="utf-8")
    base = KnowledgeBase("bench", embedder=embedder, store=open_store("bench", RagSettings(store="memory")))
    base.add(folder)
    return base


def holds(answer: Answer, question: Question) -> bool:
    """Whether a quote has one of the accepted answers in it."""
    quotes = " ".join(" ".join(c.quote for c in answer.citations).lower().split())
    return any(" ".join(accepted.lower().split()) in quotes for accepted in question.answers)


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative."""
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return sum(pairs) / len(pairs)


def measure_answers(base: KnowledgeBase, asked: Sequence[Question]) -> dict[str, float]:
    """Over all questions, refusals included: a refusal holds nothing."""
    started = time.monotonic()
    answers = [base.ask(question.text) for question in asked]
    seconds = (time.monotonic() - started) / len(asked)
    given = [a for a in answers if not a.refused]
    words = sum(sum(len(c.quote.split()) for c in a.citations) for a in given) / len(given)
    right = sum(holds(a, q) for a, q in zip(answers, asked, strict=True)) / len(asked)
    return {"holds": right, "words": words, "seconds": seconds}


def measure_refusals(bases: Sequence[tuple[KnowledgeBase, set[str]]], asked: Sequence[Question]) -> dict[str, float]:
    """Every question to every index; it has an answer in the one that has its article."""
    answerable: list[Answer] = []
    others: list[Answer] = []
    for base, inside in bases:
        for question in asked:
            (answerable if question.article in inside else others).append(base.ask(question.text))
    return {
        "auc": auc([a.confidence for a in answerable], [a.confidence for a in others]),
        "refused": sum(a.refused for a in others) / len(others),
        "wrongly": sum(a.refused for a in answerable) / len(answerable),
    }


def main() -> int:
    """Print the figures; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=DATA / "squad" / "squad-13-articles.json")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--tune", action="store_true", help="measure the articles that were fitted on")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    every = list(read(options.file).values())
    articles = every[:TUNED_ON] if options.tune else every[TUNED_ON:]
    asked = questions(articles, options.questions, options.seed)
    embedder = RememberingEmbedder()
    with tempfile.TemporaryDirectory() as folder:
        whole = index(articles, Path(folder) / "whole", embedder)
        result = measure_answers(whole, asked)
        halves = [
            (index(half, Path(folder) / str(number), embedder), {a["title"] for a in half})
            for number, half in enumerate((articles[::2], articles[1::2]))
        ]
        result |= measure_refusals(halves, asked)
    print(f"{len(asked)} questions, {len(articles)} articles")
    print(f"a quote holds an accepted answer   {result['holds']:.3f}  (target at least {TARGETS['holds']})")
    print(f"words of the quotes, mean          {result['words']:.1f}  (target at most {TARGETS['words']:.0f})")
    print(f"seconds an answer                  {result['seconds']:.2f}")
    print(f"refusal AUC, half indexed          {result['auc']:.4f}")
    print(f"refused without an answer          {result['refused']:.3f}  (target at least {TARGETS['refused']})")
    print(f"refused with an answer             {result['wrongly']:.3f}  (target at most {TARGETS['wrongly']})")
    met = result["holds"] >= TARGETS["holds"] and result["refused"] >= TARGETS["refused"]
    return 0 if met and result["words"] <= TARGETS["words"] and result["wrongly"] <= TARGETS["wrongly"] else 1


if __name__ == "__main__":
    sys.exit(main())
