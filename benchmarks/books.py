"""Sentences of public-domain books with their vectors: the material of `benchmarks/scale.py`.

    python -m benchmarks.books --cache FOLDER [--file BOOKS.jsonl.xz] [--sentences 100000]

Embeds them and keeps the vectors in FOLDER, a batch a file, named by the hash of the model and of the texts: a run
that was interrupted goes on where it stopped, and a file never holds vectors of anything else. BOOKS holds one JSON
object a line with `title` and `text`, packed by xz; without it: HEARTH_TEST_DATA/books/books.jsonl.xz.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.embed import Embedder, SentenceEmbedder
from rag.sentences import split_sentences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
BOOKS = DATA / "books" / "books.jsonl.xz"
SHORTEST, LONGEST = 25, 600
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence and the book that it stands in."""

    text: str
    book: str


def books(file: Path = BOOKS) -> Iterator[tuple[str, str]]:
    """Titles and texts."""
    with lzma.open(file, "rt", encoding="utf-8") as packed:
        for line in packed:
            row = json.loads(line)
            yield row["title"], row["text"]


def sample(count: int, held_out: int, file: Path = BOOKS, seed: int = 1) -> tuple[list[Line], list[Line]]:
    """`count` sentences in the order of the books, and `held_out` others; each text once.

    Raises:
        SystemExit: the books have too few.
    """
    found: dict[str, str] = {}
    for title, text in books(file):
        for sentence in split_sentences(text):
            words = " ".join(sentence.text.split())
            if SHORTEST <= len(words) <= LONGEST:
                found.setdefault(words, title)
    if len(found) < count + held_out:
        raise SystemExit(f"{file} has {len(found)} sentences, {count + held_out} are needed")
    chosen = random.Random(seed).sample(range(len(found)), count + held_out)
    lines = [Line(text, book) for text, book in found.items()]
    return [lines[i] for i in sorted(chosen[:count])], [lines[i] for i in chosen[count:]]


def held_out_queries(others: Sequence[Line], questions: int, data: Path = DATA, seed: int = 1) -> list[str]:
    """The held-out sentences, and `questions` of SQuAD where it is at hand: what nobody wrote for these books."""
    file = data / "squad" / "squad-13-articles.json"
    asked: list[str] = []
    if file.exists():
        articles = json.loads(file.read_text(encoding="utf-8"))["data"]
        asked = [q["question"].strip() for a in articles for p in a["paragraphs"] for q in p["qas"]]
    return [line.text for line in others] + random.Random(seed).sample(asked, min(questions, len(asked)))


def vectors(texts: Sequence[str], embedder: Embedder, cache: Path, quiet: bool = False) -> NDArray[np.float32]:
    """Vectors of `texts`, float32, shape [len(texts), dimension]; what `cache` lacks is embedded and put there."""
    import numpy as np

    cache.mkdir(parents=True, exist_ok=True)
    parts, started, fresh = [], time.monotonic(), 0
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        digest = hashlib.sha256("\0".join([embedder.name, embedder.sha256, *batch]).encode()).hexdigest()[:32]
        path = cache / f"{digest}.npy"
        if path.exists():
            parts.append(np.load(path, allow_pickle=False))
            continue
        parts.append(embedder.embed(batch))
        aside = path.with_suffix(".new.npy")
        np.save(aside, parts[-1], allow_pickle=False)
        aside.replace(path)
        fresh += len(batch)
        if not quiet:
            rate = fresh / (time.monotonic() - started)
            print(f"embedded {start + len(batch)} of {len(texts)}, {rate:.0f}/s", file=sys.stderr, flush=True)
    return np.concatenate(parts)


def main() -> None:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--file", type=Path, default=BOOKS)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--held-out", type=int, default=250)
    options = parser.parse_args()
    embedder = SentenceEmbedder()
    lines, others = sample(options.sentences, options.held_out, options.file)
    for part in (held_out_queries(others, 250), [line.text for line in lines]):
        vectors(part, embedder, options.cache)


if __name__ == "__main__":
    main()
