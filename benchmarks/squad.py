"""SQuAD 1.1 as files: articles, their questions with the places of the answers, and indexes of them.

One text file an article, its paragraphs between blank lines. The first six articles by name are for fitting and
choosing, the last seven for reporting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag import KnowledgeBase
from rag.embed import SentenceEmbedder
from rag.index import index as index_files
from rag.settings import RagSettings
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
FILE = DATA / "squad" / "squad-13-articles.json"
TUNED_ON = 6
SEPARATOR = "\n\n"
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its accepted answers, and their places in the article's text.

    Attributes:
        paragraph: number of the paragraph it was asked about, in the whole article.
        spans: where that paragraph has an accepted answer; every place where the data does not tell which.
    """

    text: str
    article: str
    paragraph: int
    answers: tuple[str, ...]
    spans: tuple[Span, ...]

    def answered_by(self, passage: Passage) -> bool:
        """Whether the passage holds an accepted answer where the article gives it."""
        here = Path(passage.source).stem == self.article
        return here and any(passage.start <= start and end <= passage.end for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Article:
    """An article, or some of its paragraphs: `numbers` are theirs in the whole one."""

    title: str
    paragraphs: tuple[str, ...]
    questions: tuple[Question, ...]
    numbers: tuple[int, ...]

    def part(self, numbers: Sequence[int]) -> Article:
        """These paragraphs alone, with the questions about them, whose spans move with the text."""
        moved, offset = [], 0
        for number in numbers:
            begin = sum(len(text) + len(SEPARATOR) for text in self.paragraphs[:number])
            for q in self.questions:
                if q.paragraph == number:
                    spans = tuple((a - begin + offset, b - begin + offset) for a, b in q.spans)
                    moved.append(Question(q.text, q.article, number, q.answers, spans))
            offset += len(self.paragraphs[number]) + len(SEPARATOR)
        return Article(self.title, tuple(self.paragraphs[n] for n in numbers), tuple(moved), tuple(numbers))

    def half(self, which: int) -> Article:
        """Every second paragraph, from the first (0) or the second (1) on."""
        return self.part(range(which, len(self.paragraphs), 2))


def read(file: Path = FILE) -> list[Article]:
    """Every article, in order of name."""
    found = []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        paragraphs, questions, begin = [], [], 0
        for number, paragraph in enumerate(article["paragraphs"]):
            text = paragraph["context"]
            for q in paragraph["qas"]:
                answers = tuple(dict.fromkeys(answer["text"] for answer in q["answers"]))
                spans = {span for answer in q["answers"] for span in _places(answer, text)}
                placed = tuple(sorted((begin + a, begin + b) for a, b in spans))
                questions.append(Question(q["question"], article["title"], number, answers, placed))
            paragraphs.append(text)
            begin += len(text) + len(SEPARATOR)
        numbers = tuple(range(len(paragraphs)))
        found.append(Article(article["title"], tuple(paragraphs), tuple(questions), numbers))
    return sorted(found, key=lambda article: article.title)


def _places(answer: dict[str, str | int], text: str) -> list[Span]:
    words, start = str(answer["text"]), int(answer["answer_start"])
    starts = [start] if start >= 0 else [at for at in range(len(text)) if text.startswith(words, at)]
    return [(at, at + len(words)) for at in starts]


class RememberingEmbedder(SentenceEmbedder):
    """The default embedder, which embeds nothing twice: the indexes of a benchmark share passages."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, NDArray[np.float32]] = {}
        self.queries: dict[str, NDArray[np.float32]] = {}
        self.tokens: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, the new ones embedded now."""
        import numpy as np

        new = list(dict.fromkeys(text for text in texts if text not in self.known))
        if new:
            self.known.update(zip(new, super().embed(new), strict=True))
        return np.stack([self.known[text] for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector, embedded once."""
        if text not in self.queries:
            self.queries[text] = super().embed_query(text)
        return self.queries[text]

    def embed_tokens(self, text: str) -> NDArray[np.float32]:
        """The unit vectors of the tokens, embedded once."""
        if text not in self.tokens:
            self.tokens[text] = super().embed_tokens(text)
        return self.tokens[text]


def index(
    articles: Sequence[Article], folder: Path, embedder: SentenceEmbedder, settings: RagSettings | None = None
) -> KnowledgeBase:
    """A knowledge base of these articles, one text file each, with everything in `folder`."""
    files = folder / "files"
    files.mkdir(parents=True)
    for article in articles:
        (files / f"{article.title}.txt").write_text(SEPARATOR.join(article.paragraphs), encoding="utf-8")
    base = KnowledgeBase("bench", embedder=embedder, home=folder / "indexes")
    index_files([files], base.store, embedder, settings=settings)
    return base
