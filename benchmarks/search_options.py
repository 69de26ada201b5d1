"""What diversity and parents do to a search: how often the answer is among what is shown, and how much is shown.

    python -m benchmarks.search_options [FILE] [--articles 7] [--questions 500] [--limit 5]

FILE is SQuAD 1.1 as JSON with 13 articles; without it: HEARTH_TEST_DATA/squad/squad-13-articles.json. The last
articles, by name, are indexed as one text file each. An answer is shown when one of the accepted ones stands in a
passage that comes back; words are those of all passages together.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag import KnowledgeBase
from rag.embed import SentenceEmbedder
from rag.parents import Parents
from rag.retrieve import Search

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


class RememberingEmbedder(SentenceEmbedder):
    """The default embedder, which embeds no question twice."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, NDArray[np.float32]] = {}

    def embed_query(self, text: str) -> NDArray[np.float32]:
        if text not in self.known:
            self.known[text] = super().embed_query(text)
        return self.known[text]


def settings(limit: int) -> dict[str, Search]:
    """The searches that are compared, by name."""
    return {
        "plain": Search(limit),
        "mmr 0.9, words": Search(limit, diversity=0.9),
        "mmr 0.7, words": Search(limit, diversity=0.7),
        "mmr 0.5, words": Search(limit, diversity=0.5),
        "parents": Search(limit, parents=Parents()),
        "parents, 3 of them": Search(limit, parents=Parents(least=3, share=1.0)),
    }


def main() -> None:
    """Print one line for each search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", nargs="?", type=Path, default=DATA / "squad" / "squad-13-articles.json")
    parser.add_argument("--articles", type=int, default=7)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--limit", type=int, default=5)
    given = parser.parse_args()
    data = json.loads(given.file.read_text(encoding="utf-8"))["data"]
    articles = sorted(data, key=lambda article: str(article["title"]))[-given.articles :]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(q["question"], [a["text"] for a in q["answers"]]) for p in paragraphs for q in p["qas"]]
    asked = random.Random(0).sample(asked, min(given.questions, len(asked)))
    with tempfile.TemporaryDirectory() as place:
        for article in articles:
            text = "\n\n".join(paragraph["context"] for paragraph in article["paragraphs"])
            (Path(place) / f"{article['title']}.txt").write_text(text, encoding="utf-8")
        index = Path(place) / "index"
        base = KnowledgeBase("bench", home=index, embedder=RememberingEmbedder())
        report = base.add(sorted(Path(place).glob("*.txt")))
        compare(base, asked, given.limit, f"{len(articles)} articles, {report.passages} passages")


def compare(base: KnowledgeBase, asked: Sequence[tuple[str, list[str]]], limit: int, told: str) -> None:
    """Every search with every question."""
    print(f"{told}, {len(asked)} questions, limit {limit}")
    print(f"{'search':<20} {'answer in 1st':>13} {'answer shown':>13} {'words':>6}")
    for name, search in settings(limit).items():
        first = shown = words = 0
        for question, answers in asked:
            texts = [hit.passage.text for hit in base.search(question, options=search)]
            first += any(answer in texts[0] for answer in answers)
            shown += any(answer in text for answer in answers for text in texts)
            words += sum(len(text.split()) for text in texts)
        count = len(asked)
        print(f"{name:<20} {first / count:>13.3f} {shown / count:>13.3f} {words / count:>6.0f}", flush=True)


if __name__ == "__main__":
    main()
