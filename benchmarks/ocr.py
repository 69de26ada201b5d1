"""How well and how fast scanned pages are read: pages with text are turned into pictures, and read back by OCR.

    python -m benchmarks.ocr [FOLDER] [--dpi 100 150 200 300] [--pages 12]

FOLDER is searched for PDFs with a text layer; without it: HEARTH_TEST_DATA/docs. Word recall is the share of the
words of the text layer that OCR finds (as a multiset, letters and digits, without case); pages in scripts other than
Latin are left out, because Tesseract's English data cannot read them.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rag.errors import DocumentError
from rag.load import Reading, load, ocr
from rag.load.boxes import render_page

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "docs"
LEAST_WORDS = 20


def words(text: str) -> Counter[str]:
    """The words of a text, without case."""
    return Counter(re.findall(r"[a-z0-9]+", text.lower()))


def pages(folder: Path, most: int) -> Iterator[tuple[Path, int, Counter[str]]]:
    """File, page and words of pages with enough Latin text."""
    found = 0
    for path in sorted(folder.rglob("*.pdf")):
        try:
            document = load(path, reading=Reading(ocr=False))
        except DocumentError:
            continue
        for segment in document.segments:
            text = document.text[segment.start : segment.end]
            if (
                found < most
                and sum(words(text).values()) >= LEAST_WORDS
                and sum(c > "\u024f" for c in text) < 0.1 * len(text)
            ):
                found += 1
                yield path, segment.page or 1, words(text)


def main() -> int:
    """Print one row for each resolution."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    parser.add_argument("--dpi", nargs="+", type=int, default=[100, 150, 200, 300])
    parser.add_argument("--pages", type=int, default=12)
    arguments = parser.parse_args()
    cases = list(pages(arguments.folder, arguments.pages))
    if not cases or not ocr.available():
        print(f"no PDF with text in {arguments.folder}" if not cases else "Tesseract is not installed")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.pdf"
        for dpi in arguments.dpi:
            recalls, seconds = [], []
            for path, page, expected in cases:
                picture = Image.open(io.BytesIO(render_page(path, page, dpi / 72).png)).convert("L")
                picture.save(scan, resolution=dpi)
                started = time.perf_counter()
                found = words(load(scan).text)
                seconds.append(time.perf_counter() - started)
                recalls.append((expected & found).total() / expected.total())
            mean = sum(recalls) / len(recalls)
            line = f"word recall {mean:.3f} (least {min(recalls):.3f}), {sum(seconds) / len(seconds):.2f} s a page"
            print(f"{dpi} dpi: {line}, {max(seconds):.2f} s at most, {len(cases)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
