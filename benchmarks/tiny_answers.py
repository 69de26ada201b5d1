"""How the chat should answer where no server runs: with quotes, or with hearth-tiny's own words?

    python -m benchmarks.tiny_answers [--cases 100] [--questions 100] [--model hearth-tiny]

Both answer the same questions through `KnowledgeBase.ask`, with its defaults, from the same index:

- held-out facts of hearth-tiny's own kind (`ui.tiny.held_out`), a knowledge base of one to five files for each;
- SQuAD 1.1, the seven articles that report, where its file is there (`benchmarks.squad`).

An answer is right when it holds an accepted one, both normalised as SQuAD's are; where there is none, when it refuses.
Intervals are 95%, Wilson's. There is no bar: the figures are for choosing a default.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answers import Share
from benchmarks.squad import FILE, TUNED_ON, Article, RememberingEmbedder, index, read
from decoder import EmbeddedDecoder
from prompts.extract_text import normalized
from rag import Answer, KnowledgeBase
from ui.tiny.held_out import drawn


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a knowledge base with its accepted answers: none where it has none."""

    base: KnowledgeBase
    question: str
    accepted: tuple[str, ...]

    def right(self, answer: Answer) -> bool:
        """Whether it holds an accepted answer, or refuses where there is none."""
        if not self.accepted:
            return answer.refused
        said = normalized(answer.text)
        return not answer.refused and any(normalized(accepted) in said for accepted in self.accepted)


def facts(cases: int, folder: Path, embedder: RememberingEmbedder) -> Iterator[Asked]:
    """Questions on invented facts, each with its own knowledge base, a file a passage."""
    for number, case in enumerate(drawn(cases, 0).grounded):
        files = [Article(f"{at}", (passage,), (), (0,)) for at, passage in enumerate(case.passages, 1)]
        base = index(files, folder / f"{number}", embedder)
        yield Asked(base, case.question, (case.span,) if case.answered else ())


def squad(questions: int, folder: Path, embedder: RememberingEmbedder) -> Iterator[Asked]:
    """Questions on SQuAD's reporting articles, all in one index."""
    articles = read(FILE)[TUNED_ON:]
    base = index(articles, folder / "squad", embedder)
    every = [question for article in articles for question in article.questions]
    for question in random.Random(0).sample(every, min(questions, len(every))):
        yield Asked(base, question.text, question.answers)


def shares(name: str, asked: list[Asked], decoder: EmbeddedDecoder) -> Iterator[Share]:
    """For quotes, then for the decoder: right where there is an answer, and refused where there is none."""
    for who, writer in (("quotes", None), ("hearth-tiny", decoder)):
        answers = [
            KnowledgeBase("bench", decoder=writer, embedder=each.base.embedder, store=each.base.store).ask(
                each.question
            )
            for each in asked
        ]
        right = [each.right(answer) for each, answer in zip(asked, answers, strict=True)]
        for what, wanted in (("with an answer, right", True), ("without one, refused", False)):
            chosen = [each for each, of in zip(right, asked, strict=True) if bool(of.accepted) == wanted]
            if chosen:
                yield Share(f"{name}: {who}, {what}", sum(chosen), len(chosen))


def main() -> None:
    """Print the shares of both on either kind of question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--model", default="hearth-tiny")
    options = parser.parse_args()
    embedder, decoder = RememberingEmbedder(), EmbeddedDecoder(options.model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kinds = {"facts": list(facts(options.cases, folder, embedder))}
        if FILE.is_file():
            kinds["SQuAD"] = list(squad(options.questions, folder, embedder))
        for name, asked in kinds.items():
            print(*shares(name, asked, decoder), sep="\n", flush=True)


if __name__ == "__main__":
    main()
