"""A folder of 10,000 small files indexed, and indexed again unchanged, with one file changed and with one removed.

    python -m benchmarks.reindex [--files 10000] [--file BOOKS.jsonl.xz]

The files are cut from books. Vectors come from a cheap stand-in for the embedding model, a random direction for each
text: embedding is not what is measured here. Everything goes through `KnowledgeBase.add` in a fresh process, as a
user's command would; its imports are told apart. The exit code is 1 when the unchanged folder takes too long.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.books import BOOKS, books
from rag import IndexReport, KnowledgeBase
from rag.embed import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHARACTERS = 600
A_FOLDER = 100
UNCHANGED_SECONDS = 3.0


class StandIn(Embedder):
    """A random direction for each text, the same in every process."""

    name, dimension, sha256, max_tokens = "stand-in", 384, "0" * 64, 256  # type: ignore[assignment]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        return np.stack([self.embed_query(text) for text in texts]).astype(np.float32)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        import numpy as np

        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")
        vector = np.random.default_rng(seed).standard_normal(self.dimension, dtype=np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def count(self, text: str) -> int:
        return len(text.split())


def write_files(folder: Path, count: int, file: Path) -> None:
    """`count` text files, A_FOLDER to a folder, no two alike."""
    for number, text in zip(range(count), _pieces(file), strict=False):
        path = folder / f"{number // A_FOLDER:03d}" / f"{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Piece {number}.\n\n{text}\n", encoding="utf-8")


def _pieces(file: Path) -> Iterator[str]:
    for _, text in books(file):
        for start in range(0, len(text) - CHARACTERS, CHARACTERS):
            yield text[start : start + CHARACTERS].strip()


def add(folder: Path, home: Path) -> dict[str, Any]:
    """One run of `KnowledgeBase.add` in this process."""
    written = _written()
    with KnowledgeBase("reindex", home=home, embedder=StandIn()) as base:
        started, cpu = time.perf_counter(), time.process_time()
        report: IndexReport = base.add(folder)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    counts = {"added": len(report.added), "updated": len(report.updated), "removed": len(report.removed)}
    return {
        "seconds": seconds,
        "cpu": cpu,
        "sent": _written() - written,
        "done": {**counts, "unchanged": report.unchanged, "failed": len(report.failed), "passages": report.passages},
    }


def _written() -> int:
    """Bytes that this process has had sent to the disk."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))


def fresh(folder: Path, home: Path) -> dict[str, Any]:
    """`add` in a process of its own, with the seconds of the whole process and the bytes of files that are new."""
    before = _files(home)
    command = [sys.executable, "-m", "benchmarks.reindex", "--add", str(folder), str(home)]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=3600)
    whole = time.perf_counter() - started
    after = _files(home)
    new = sum(size for key, size in after.items() if key not in before)
    return {**json.loads(done.stdout), "process": whole, "new": new, "size": sum(after.values())}


def _files(home: Path) -> dict[tuple[int, int], int]:
    """Bytes on disk by file and time of change; what is linked from one generation to the next counts once."""
    found = [path.stat() for path in home.rglob("*") if path.is_file()]
    return {(stat.st_ino, stat.st_mtime_ns): stat.st_blocks * 512 for stat in found}


def show(name: str, found: dict[str, Any]) -> None:
    """One line."""
    done = ", ".join(f"{count} {what}" for what, count in found["done"].items() if count)
    print(
        f"{name:<12}{found['seconds']:7.2f} s (CPU {found['cpu']:.2f})   process {found['process']:7.2f} s   "
        f"new files {found['new'] / 2**20:7.1f} MiB   sent to disk {found['sent'] / 2**20:7.1f} MiB   "
        f"index {found['size'] / 2**20:6.1f} MiB   ({done})",
        flush=True,
    )


def main() -> int:
    """Print a line a step; exit code 1 when the unchanged folder takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--file", type=Path, default=BOOKS)
    parser.add_argument("--add", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.add:
        print(json.dumps(add(*options.add)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place) / "files", Path(place) / "home"
        write_files(folder, options.files, options.file)
        home.mkdir()
        show("first", fresh(folder, home))
        unchanged = fresh(folder, home)
        show("unchanged", unchanged)
        (folder / "000" / "00000.txt").write_text("Piece 0, in other words.\n", encoding="utf-8")
        show("one changed", fresh(folder, home))
        (folder / "000" / "00001.txt").unlink()
        show("one removed", fresh(folder, home))
    print(f"unchanged, target: under {UNCHANGED_SECONDS:.0f} s")
    return 0 if unchanged["seconds"] < UNCHANGED_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
