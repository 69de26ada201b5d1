"""What is read from the public documents, per format: `python -m benchmarks.documents [--data FOLDER] [--large]`.

Recall is that of the words of the expected Markdown, with their counts; an error counts 0. Peak memory is that of the
parsing process, which is started afresh for each format. Exit code 1 when a format's mean recall is below 0.9, or a
file takes more than 20 s or 1 GiB. `--large` makes one large file a format here and reads it instead.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.large_documents import LARGE
from rag.errors import DocumentError
from rag.load import load
from rag.load.process import PARSING

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("HEARTH_TEST_DATA", ROOT.parent / "shared" / "data")) / "docs"
LEAST_RECALL, MOST_SECONDS, MOST_MIB = 0.9, 20.0, 1024
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TARGET = re.compile(r"\]\([^)]*\)")


@dataclass
class Figures:
    """What reading the files of one format gave; recalls only where Markdown is expected."""

    recalls: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    files: int = 0
    seconds: float = 0.0
    mib: float = 0.0


def words(text: str) -> Counter[str]:
    """The words of a Markdown text, without comments and the targets of links."""
    text = _COMMENT.sub("", _TARGET.sub("]", html.unescape(text)))
    return Counter(re.findall(r"\w+", text.replace("\\_", " ").replace("_", " ").lower()))


def recall(expected: str, found: str) -> float:
    """The share of the expected words that was found, each as often as it is expected."""
    wanted = words(expected)
    return (wanted & words(found)).total() / wanted.total() if wanted else 1.0


def pairs(data: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Files with their expected Markdown, by suffix. A PDF made of another document is expected to say the same."""
    found: dict[str, list[tuple[Path, Path]]] = {}
    for path in sorted(data.glob("*/sources/*")):
        name = path.name.removesuffix(".pdf") if path.name.count(".") > 1 else path.name
        expected = path.parents[1] / "groundtruth" / f"{name}.md"
        if expected.is_file():
            found.setdefault(path.suffix.lower(), []).append((path, expected))
    return found


def peak_mib() -> float:
    """The most memory that the running parsing process has held."""
    child = PARSING._child
    if child is None:
        return 0.0
    status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(files: Iterable[tuple[Path, str | None]]) -> Figures:
    """Read files one after another in a fresh parsing process; a failure counts as recall 0."""
    PARSING.close()
    figures = Figures()
    for path, expected in files:
        figures.files += 1
        begun = time.monotonic()
        try:
            text = load(path).text
        except DocumentError as error:
            text = ""
            figures.failures[path.name] = f"{type(error).__name__}: {error.cause}"
        figures.seconds = max(figures.seconds, time.monotonic() - begun)
        figures.mib = max(figures.mib, peak_mib())
        if expected is not None:
            figures.recalls[path.name] = recall(expected, text)
    return figures


def show(format_: str, figures: Figures) -> bool:
    """Print one line and what failed; whether every limit held."""
    recalls = figures.recalls.values()
    mean = sum(recalls) / len(recalls) if recalls else None
    least = f"{min(recalls):.3f}" if recalls else "-"
    shown = "-" if mean is None else f"{mean:.3f}"
    print(f"{format_:8}{figures.files:>6}{shown:>9}{least:>9}{figures.seconds:>9.2f}{figures.mib:>10.0f}")
    for name, why in figures.failures.items():
        print(f"    {name}: {why}")
    kept = (mean is None or mean >= LEAST_RECALL) and not (mean is None and figures.failures)
    return kept and figures.seconds <= MOST_SECONDS and figures.mib <= MOST_MIB


def main() -> int:
    """Print a table; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    print(f"{'format':8}{'files':>6}{'mean':>9}{'least':>9}{'longest':>9}{'peak MiB':>10}")
    kept = []
    if options.large:
        with tempfile.TemporaryDirectory() as folder:
            for suffix, make in LARGE.items():
                path = Path(folder) / f"large{suffix}"
                path.write_bytes(make())
                kept.append(show(suffix[1:], measure([(path, None)])))
    else:
        for suffix, found in pairs(options.data).items():
            read = ((path, expected.read_text(encoding="utf-8")) for path, expected in found)
            kept.append(show(suffix[1:], measure(read)))
    return 0 if kept and all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
