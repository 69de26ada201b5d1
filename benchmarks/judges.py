"""How good the judges are, and whether the metrics order stand-ins for samples as they should.

python -m benchmarks.judges [--size 16]

Both judges are trained afresh on scikit-learn's digits: CPU seconds, and the share of the held-out digits told right
(bars: 0.99 and 0.98). Then a table for each judge: held-out digits (the floor), copies of training digits, half copies
and half held-out ones, three classes, held-out digits that are blurred or noisy, and noise. Exits with 1 when a bar is
missed or an order is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from generators.data import load_pictures
from generators.judge import judge_for
from generators.metrics import FIGURES, Measures, Reference, floor_against, measure_against
from generators.pictures import Pictures, Split
from generators.sections import DataSection

BARS = {"first": 0.99, "second": 0.98}


def stand_ins(split: Split) -> dict[str, Tensor]:
    """Samples by name, as many as there are pictures held out."""
    generator, count = torch.Generator().manual_seed(0), len(split.test)
    train = split.train.subset(torch.randperm(len(split.train), generator=generator))
    held = split.test.subset(torch.randperm(count, generator=generator)).floats()
    noise = torch.randn(held.shape, generator=generator)
    return {
        "copies of training pictures": train.floats()[:count],
        "half copies, half real": torch.cat([train.floats()[: count // 2], held[count // 2 :]]),
        "three of ten classes": few_classes(train).floats()[:count],
        "real, blurred (3x3)": avg_pool2d(pad(held, (1, 1, 1, 1), mode="replicate"), 3, 1),
        "real with noise (0.3)": (held + 0.3 * noise).clamp(-1, 1),
        "noise": torch.rand(held.shape, generator=generator) * 2 - 1,
    }


def few_classes(pictures: Pictures) -> Pictures:
    """Those of the first three classes."""
    assert pictures.labels is not None
    return pictures.subset((pictures.labels < 3).nonzero()[:, 0])


def row(name: str, found: Measures) -> str:
    """One line of the table."""
    cells = [getattr(found, key) for key in FIGURES if key != "accuracy"]
    return f"| {name} | " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |"


def ordered(real: Measures, found: dict[str, Measures]) -> bool:
    """What must hold of the stand-ins."""
    few, copies, noise = (found[k] for k in ("three of ten classes", "copies of training pictures", "noise"))
    return (
        few.modes.value == 3
        and few.mode_kl.value > 1
        and few.precision.value > 0.9
        and few.recall.high < real.recall.low
        and copies.nearest.high < 0.1 < real.nearest.low
        and copies.fid.low <= real.fid.high
        and all(found[name].fid.low > real.fid.high for name in ("three of ten classes", "noise"))
        and noise.precision.high < real.precision.low
    )


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16)
    size = parser.parse_args().size
    torch.set_num_threads(1)
    split, good = load_pictures(DataSection(size=size)), True
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEARTH_GENERATORS_JUDGES"] = folder
        for variant in ("first", "second"):
            began = time.process_time()
            judge = judge_for(split.train, variant)
            seconds, accuracy = time.process_time() - began, judge.accuracy_on(split.test)
            print(f"{variant} judge: {judge.name}; {seconds:.1f} CPU s, {accuracy:.4f} of {len(split.test)} right\n")
            print("| | " + " | ".join(title for key, title in FIGURES.items() if key != "accuracy") + " |")
            print("|---" * len(FIGURES) + "|")
            known = Reference.of(split, judge)
            real = floor_against(split, known)
            print(row(f"real, n={real.n}", real))
            found = {name: measure_against(images, known) for name, images in stand_ins(split).items()}
            for name, measures in found.items():
                print(row(name, measures), flush=True)
            print()
            good = good and accuracy >= BARS[variant] and ordered(real, found)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
