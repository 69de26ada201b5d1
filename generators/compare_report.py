"""The comparison as report.md and report.html: tables by judge, quality against time, grids, alarms, studies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.runs import markdown
from decoder.runs.metric_series import is_figure, read_lines
from decoder.runs.page import page, picture, plots, table
from decoder.runs.plots import COLOURS, draw
from decoder.runs.record import write_whole
from generators.compare_table import JUDGES, Row, figures_shown, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from generators.compare_runs import Entry
    from generators.diffusion_study import StudyRow
    from generators.sections import TrainingSection

STEP = "writing the comparison"
COSTS = ("parameters", "steps", "training, CPU s", "drawing one, CPU ms", "alarms")


@dataclass(frozen=True, slots=True)
class Study:
    """A model drawn from in several ways.

    Attributes:
        name: of the recipe.
        steps, guidance: the rows; either may be empty.
    """

    name: str
    steps: Sequence[StudyRow] = ()
    guidance: Sequence[StudyRow] = ()


def write_comparison(entries: Sequence[Entry], studies: Sequence[Study], output: Path) -> Path:
    """Write report.md and report.html into `output`; the path of report.html. Raises CheckpointFailed, MissingExtra."""
    found = rows(entries)
    page = output / "report.html"
    write_whole(output / "report.md", to_markdown(entries, found, studies, output), STEP)
    write_whole(page, to_html(entries, found, studies), STEP)
    return page


def about(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """What was compared."""
    first = entries[0]
    state, evaluation = first.folder.state, first.evaluation
    seeds = sorted({entry.recipe.seed for entry in entries})
    limits = dict.fromkeys(limit_of(entry.recipe.training) for entry in entries)
    data = state.get("data") or {}
    lines = [
        ("pictures", f"{first.recipe.data.source}, {first.recipe.data.size}x{first.recipe.data.size}"),
        ("training, held out", f"{data.get('train', '?')}, {data.get('test', '?')}"),
        ("training of each", "; ".join(limits)),
        ("seeds", ", ".join(map(str, seeds))),
        ("samples", str(evaluation["samples"])),
    ]
    for number, judge in enumerate(JUDGES, 1):
        judged = evaluation[judge]
        lines.append(
            (f"judge {number}", f"{judged['judge']}, {judged['test_accuracy']:.3f} right on held-out pictures")
        )
    return lines


def limit_of(training: TrainingSection) -> str:
    """What ends a training, as in "90 CPU seconds or 20 steps"."""
    seconds = [f"{training.budget_seconds:g} CPU seconds"] if training.budget_seconds else []
    steps = [f"{training.max_steps:,} steps"] if training.max_steps else []
    return " or ".join([*seconds, *steps])


def cells(key: str, found: Sequence[Row], judge: str) -> list[str]:
    """One figure of all rows as texts."""
    return [str(row.judged[judge][key]) if key in row.judged[judge] else "" for row in found]


def cost_cells(row: Row) -> list[str]:
    """What the recipe took, as texts; of the floor, nothing."""
    if not row.family:
        return [""] * len(COSTS)
    rung = ", ".join(f"{kind} ({count})" for kind, count in (row.alarms or {}).items())
    numbers = (f"{row.parameters:,.0f}", f"{row.steps:,.0f}", f"{row.seconds:.3g}", f"{row.draw_milliseconds:.2f}")
    return [*numbers, rung or "none"]


def to_markdown(entries: Sequence[Entry], found: Sequence[Row], studies: Sequence[Study], output: Path) -> str:
    """The whole report; pictures are links into the runs' folders."""
    from generators.diffusion_study import guidance_table, steps_table

    parts = ["# Comparison", "\n".join(f"- {name}: {value}" for name, value in about(entries)), _reading(entries)]
    for head, body in tables(found):
        parts.append("## " + head[0] + "\n\n" + markdown.table(["", *head[1:]], body))
    for study in studies:
        if study.steps:
            told = f"{study.steps[0].measures.n} pictures each, of the first seed's model, in the eyes of judge 1."
            parts.append(f"## {study.name}: steps\n\n{told}\n\n{steps_table(study.steps)}")
        if study.guidance:
            parts.append(f"## {study.name}: guidance\n\n{guidance_table(study.guidance)}")
    grids = [(entry, file) for entry in entries if (file := grid_of(entry)) is not None]
    shown = [f"![{_title(entry)}]({Path(os.path.relpath(file, output)).as_posix()})" for entry, file in grids]
    return "\n\n".join([*parts, *(["## Samples", *shown] if shown else [])]) + "\n"


def to_html(entries: Sequence[Entry], found: Sequence[Row], studies: Sequence[Study]) -> str:
    """The whole report; it stands alone."""
    body = [table((), about(entries)), f"<p>{escape(_reading(entries))}</p>"]
    for head, lines in tables(found):
        body.append(f"<h2>{escape(head[0])}</h2>" + table(["", *head[1:]], lines))
    body.append(_section("Quality against time", plots(quality_plots(entries))))
    for study in studies:
        body.append(_section(f"{study.name}: ways to draw", plots(_study_plots(study)) + _study_tables(study)))
    pictures = "\n".join(
        picture(file.read_bytes(), _title(entry)) for entry in entries if (file := grid_of(entry)) is not None
    )
    body.append(_section("Samples", f'<div class="pictures">\n{pictures}\n</div>' if pictures else ""))
    return page("Comparison", body, pictures=True)


def quality_plots(entries: Sequence[Entry]) -> Iterator[str]:
    """SVGs of the watched figures over CPU seconds of training, of each recipe's first seed."""
    for title, key, curves in quality_curves(entries):
        yield _curves(f"{title} of watched samples", "CPU seconds of training", curves, log=key == "eval_fid")


def quality_curves(entries: Sequence[Entry]) -> Iterator[tuple[str, str, dict[str, list[tuple[float, float]]]]]:
    """(title, key, by recipe the points (CPU seconds, value)) of each watched figure that was logged."""
    for key, title in (("eval_fid", "FID"), ("eval_recall", "recall"), ("eval_modes", "modes covered")):
        curves: dict[str, list[tuple[float, float]]] = {}
        for entry in entries:
            points = [
                (line["seconds"], line[key])
                for line in read_lines(entry.folder.metrics_file)
                if is_figure(line.get(key)) and is_figure(line.get("seconds"))
            ]
            if points:
                curves.setdefault(entry.recipe.name, points)
        if curves:
            yield title, key, curves


def grid_of(entry: Entry) -> Path | None:
    """The run's last sample grid, where there is one."""
    named = entry.folder.state.get("grid")
    file = entry.folder.path / str(named)
    return file if named and file.is_file() else None


def tables(found: Sequence[Row]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(title and heads, rows) of each judge's figures and of what it took, as texts."""
    for number, judge in enumerate(JUDGES, 1):
        body = [[title, *cells(key, found, judge)] for key, title in figures_shown(found, judge)]
        yield [f"In the eyes of judge {number}", *(row.name for row in found)], body
    yield ["What it took", *COSTS], [[row.name, *cost_cells(row)] for row in found if row.family]


def _reading(entries: Sequence[Entry]) -> str:
    several = len({entry.recipe.seed for entry in entries}) > 1
    spreads = "lowest and highest over the seeds" if several else "95% intervals over the samples of one seed"
    return f"In brackets: {spreads}. FID and KID are 0 at best; what real pictures come to is in the first column."


def _study_tables(study: Study) -> str:
    from generators.diffusion_study import GUIDANCE_HEAD, STEPS_HEAD, guidance_cells, steps_cells

    return table(STEPS_HEAD, steps_cells(study.steps)) + table(GUIDANCE_HEAD, guidance_cells(study.guidance))


def _study_plots(study: Study) -> Iterator[str]:
    by_scheduler: dict[str, list[tuple[float, float]]] = {}
    for row in study.steps:
        by_scheduler.setdefault(row.scheduler, []).append((row.seconds, row.measures.fid.value))
    if by_scheduler:
        yield _curves("FID by CPU seconds of drawing", "CPU seconds", by_scheduler, log=True, log_x=True)
    scales: dict[str, list[tuple[float, float]]] = {}
    for row in study.guidance:
        for key in ("accuracy", "recall", "diversity"):
            figure = getattr(row.measures, key)
            if figure is not None:
                scales.setdefault(key, []).append((row.guidance_scale or 0.0, figure.value))
    if scales:
        yield _curves("Guidance", "guidance scale", scales)


def _curves(
    title: str, label: str, curves: Mapping[str, Sequence[tuple[float, float]]], log: bool = False, log_x: bool = False
) -> str:
    def lines(axes: Axes) -> None:
        for number, (name, points) in enumerate(curves.items()):
            x, y = zip(*sorted(points), strict=True)
            axes.plot(x, y, color=COLOURS[number % len(COLOURS)], label=name, marker="o", markersize=2.5)
        axes.set_yscale("log" if log else "linear")
        axes.set_xscale("log" if log_x else "linear")
        axes.set_xlabel(label)
        axes.legend()

    return draw(title, lines)


def _section(title: str, text: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{text}" if text else ""


def _title(entry: Entry) -> str:
    return f"{entry.recipe.name}, seed {entry.recipe.seed}"
