"""How long reading pictures takes, and how far from right doing nothing is on the domains that are made of digits.

    python -m benchmarks.picture_sources [SOURCE ...]

SOURCE is what a recipe's data.source may say; without any: the digits, and HEARTH_TEST_DATA's tiles and MNIST where
they are. CPU seconds of one process, imports not counted: the median of three readings. The second table is the mean
absolute difference of input and target in [-1, 1], on the held-out pictures.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from generators.data import load_pictures
from generators.sections import DataSection

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    """Print both tables."""
    given = sys.argv[1:]
    sections = [DataSection(source, size=32, channels=3) for source in given] if given else known()
    load_pictures(DataSection())  # imports
    print(f"{'source':<58} {'size':>4} {'read':>6} {'left out':>8} {'CPU s':>7}")
    for section in sections:
        count, skipped, seconds = timed(section)
        print(f"{section.source[-58:]:<58} {section.size:>4} {count:>6} {skipped:>8} {seconds:>7.2f}")
    print("\ndoing nothing on digits at 16x16: L1 of input and target")
    for targets, channels in (("outline", 1), ("colour", 3)):
        test = load_pictures(DataSection(targets=targets, channels=channels)).test  # type: ignore[arg-type]
        if test.targets is not None:
            mistake = (test.floats() - (test.targets.float() / 127.5 - 1)).abs().mean()
            print(f"{targets:<10} {float(mistake):.3f}  ({len(test)} pictures)")


def known() -> list[DataSection]:
    """The sources that are there."""
    found = [DataSection()]
    tiles, images = DATA / "tiles" / "tiles.zip", DATA / "images"
    if tiles.is_file():
        found.append(DataSection(f"zip:{tiles}", 32, 3, captions="paths"))
    if (images / "t10k-images-idx3-ubyte.gz").is_file():
        found += [DataSection(f"idx:{images}", size) for size in (28, 32)]
    return found


def timed(section: DataSection) -> tuple[int, int, float]:
    """Pictures read, pictures left out, and the median of three times in CPU seconds."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        split = load_pictures(section)
        times.append(time.process_time() - begun)
    return len(split.train) + len(split.test), len(split.skipped), statistics.median(times)


if __name__ == "__main__":
    main()
