"""Seeded SIGKILLs while indexing: no acknowledged document is lost, and no half document can be found.

    python -m benchmarks.kills [--seeds 50]

A child process indexes twelve documents over and over, each time all of them with a new version, and tells what it
was told by `on_progress`; it is killed at a moment drawn by the seed. Then another process
opens the index: every document must be whole and of one version, no older than what was acknowledged, `verify` must
find nothing wrong, and the next run must go on. Embeddings are cheap hashes: it is not the model that is tested.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag import indexing
from rag.embed import Embedder
from rag.index import IndexProgress, index
from rag.store_edge import EdgeStore
from rag.verify import verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DOCUMENTS = 12
MOST_TOLD, LONGEST = 30, 0.3
"""The child is killed after at most so many acknowledgements, and so many seconds more."""
WAIT = 60.0


class Hashes(Embedder):
    """Vectors from hashes of words; the same for the same text."""

    name, dimension, sha256, max_tokens = "hashes", 16, "0" * 64, 256  # type: ignore[assignment]  # plain values do

    def embed_query(self, text: str) -> NDArray[np.float32]:
        import numpy as np

        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        return np.stack([self.embed_query(text) for text in texts])

    def count(self, text: str) -> int:
        return len(text.split())


def write_version(docs: Path, version: int) -> None:
    """All documents anew; the longer ones have several passages."""
    for number in range(DOCUMENTS):
        (docs / f"{number:02}.md").write_text(
            f"Document {number}.\n\n" + f"It has version {version}. " * (10 + 60 * (number % 4))
        )


def write_forever(folder: Path, told: int) -> None:
    """The child: index version after version, and write a line for whatever is acknowledged."""
    indexing.DIRECT, indexing.FIRST_COMMIT, indexing.LAST_COMMIT = 0, 0.02, 0.1
    docs, store = folder / "docs", EdgeStore(folder / "kb")
    version = 0

    def tell(progress: IndexProgress) -> None:
        if progress.step == "searchable":
            os.write(told, f"{version} {progress.done}\n".encode())

    while True:
        write_version(docs, version)
        index([docs], store, Hashes(), tell)
        os.write(told, f"{version} {DOCUMENTS}\n".encode())
        version += 1


@dataclass(frozen=True, slots=True)
class Found:
    """What a killed writer left. `lost` and `half` are documents; `problems` is what `verify` says."""

    acknowledged: int
    lost: int
    half: int
    problems: tuple[str, ...]


def look(folder: Path, version: int, done: int) -> Found:
    """Hold the index against the last acknowledgement: `done` documents of `version`, the others one older."""
    store = EdgeStore(folder / "kb")
    if not store.refresh():
        return Found(0, DOCUMENTS if done else 0, 0, ())
    versions: dict[str, set[int]] = {source: set() for source in store.manifest().documents}
    for point in store.points():
        versions[point.passage.source].update(map(int, re.findall(r"version (\d+)", point.passage.text)))
    half = sum(len(seen) != 1 for seen in versions.values())
    new = sum(seen == {max(seen, default=-1)} and max(seen) >= version for seen in versions.values() if seen)
    old = sum(max(seen, default=-1) >= version - 1 for seen in versions.values())
    least = DOCUMENTS if version > 0 else done
    lost = max(0, done - new) + max(0, least - old)
    return Found(done + (version > 0) * DOCUMENTS, lost, half, tuple(problem.what for problem in verify(store)))


def kill_once(folder: Path, seed: int) -> Found:
    """One child, killed at its moment; what it left, after one more run has gone on from there."""
    (folder / "docs").mkdir(parents=True)
    context = multiprocessing.get_context("fork")  # nothing of the engine has been started here
    reading, writing = os.pipe()
    child = context.Process(target=write_forever, args=(folder, writing))
    child.start()
    os.close(writing)
    choose = random.Random(seed)
    told = []
    with os.fdopen(reading) as lines:
        told += [lines.readline() for _ in range(choose.randrange(MOST_TOLD))]
        time.sleep(choose.uniform(0, LONGEST))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(WAIT)
        told += lines.read().splitlines()
    version, done = map(int, told[-1].split()) if told else (0, 0)
    return in_child(context, folder, version, done)


def in_child(context: multiprocessing.context.ForkContext, folder: Path, version: int, done: int) -> Found:
    """Look, and go on, in a process of its own: this one never opens an index, so that it can fork."""
    answers = context.SimpleQueue()

    def check() -> None:
        found = look(folder, version, done)
        write_version(folder / "docs", 10**6)
        store = EdgeStore(folder / "kb")
        index([folder / "docs"], store, Hashes())
        store.refresh()
        after = look(folder, 10**6, DOCUMENTS)
        answers.put(
            Found(
                found.acknowledged, found.lost + after.lost, found.half + after.half, (*found.problems, *after.problems)
            )
        )

    checker = context.Process(target=check)
    checker.start()
    checker.join(WAIT)
    if checker.exitcode != 0:
        raise AssertionError(f"the index could not be looked at or written any more (exit code {checker.exitcode})")
    found: Found = answers.get()
    return found


def main() -> int:
    """Print the sums; exit code 1 when anything was lost or half there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=50)
    seeds = parser.parse_args().seeds
    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(kill_once(Path(folder), seed))
    print(f"SIGKILLs while indexing            {seeds}")
    print(f"acknowledged documents             {sum(each.acknowledged for each in found)}")
    print(f"acknowledged documents lost        {sum(each.lost for each in found)}")
    print(f"half documents                     {sum(each.half for each in found)}")
    print(f"problems that verify found         {sum(len(each.problems) for each in found)}")
    return int(any(each.lost or each.half or each.problems for each in found))


if __name__ == "__main__":
    sys.exit(main())
