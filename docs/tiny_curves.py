"""The curves of hearth-tiny's trainings, for its model card: docs/pictures/hearth-tiny-curves.png.

    python docs/tiny_curves.py [RUNS]

RUNS is the folder where `make tiny` left its runs; a run that is not there is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from decoder.runs.metric_series import read_lines
from decoder.runs.plots import COLOURS

PICTURE = Path(__file__).resolve().parent / "pictures" / "hearth-tiny-curves.png"
DRAWN = {
    "copying": ("loss", "nats a token"),
    "pretrain": ("loss", "nats a token"),
    "short": ("loss", "nats a token of answers"),
    "sft": ("loss", "nats a token of answers"),
    "reward": ("loss", "nats a pair"),
    "ppo": ("reward", "reward model's score"),
    "dpo": ("loss", "nats a pair"),
}
"""Of each run: the figure, and what it is counted in."""
COLUMNS = 3
DOTS = 110
"""An inch."""


def main() -> None:
    """Draw the runs that are there. Exits with 1 where there is none."""
    runs = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs")
    there = {run: runs / f"hearth-tiny-{run}" / "metrics.jsonl" for run in DRAWN}
    there = {run: file for run, file in there.items() if file.is_file()}
    if not there:
        sys.exit(f"there are no runs of hearth-tiny in {runs}")
    rows = -(-len(there) // COLUMNS)
    figure = Figure(figsize=(3.4 * COLUMNS, 2.5 * rows), layout="constrained")
    for place, (run, file) in enumerate(there.items(), 1):
        name, unit = DRAWN[run]
        points = [(line["step"], line[name]) for line in read_lines(file) if name in line]
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.plot(*zip(*points, strict=True), color=COLOURS[0], linewidth=1.2)
        axes.set_title(run, loc="left", fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel(unit, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(PICTURE, metadata={"Software": None}, pil_kwargs={"optimize": True})
    print(f"{PICTURE.name}: {', '.join(there)}")


if __name__ == "__main__":
    main()
