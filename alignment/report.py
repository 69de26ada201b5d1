"""What a run looked like: report.md, and report.html, which stands alone and runs nothing.

Whatever metrics.jsonl, samples.jsonl, run.json and reward_eval.json hold is shown; what is not there is left out, not
drawn as nothing. The same files give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.runs.metric_series import Series, read_lines, read_series
from decoder.runs.record import read_object, read_recipe, utc, write_whole

if TYPE_CHECKING:
    from alignment.overoptimisation import Alarm, GoldCurve, Point
    from decoder.runs.folder import RunFolder

SAMPLE_STEPS = 6
SAMPLES_A_STEP = 3
LONGEST_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class Watched:
    """The over-optimisation monitor's view of a run."""

    points: tuple[Point, ...]
    alarms: tuple[Alarm, ...]
    curve: GoldCurve | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a report shows, from a run's folder.

    Attributes:
        state: run.json.
        recipe: recipe.yaml as data; empty when there is none.
        samples: step -> lines of samples.jsonl, of up to SAMPLE_STEPS steps spread over the run.
        reward: reward_eval.json; empty when there is none.
    """

    state: Mapping[str, Any]
    recipe: Mapping[str, Any]
    series: Mapping[str, Series]
    samples: Mapping[int, list[dict[str, Any]]]
    watched: Watched | None
    reward: Mapping[str, Any]


def write_report(folder: RunFolder) -> Path:
    """Write report.md and report.html into a run's folder, and return the path of report.html.

    Raises:
        CheckpointFailed: the disk refuses.
        MissingExtra: matplotlib is not installed.
    """
    from alignment.report_html import to_html
    from alignment.report_markdown import to_markdown

    gathered = gather(folder)
    page = folder.path / "report.html"
    write_whole(folder.path / "report.md", to_markdown(gathered), "writing the report")
    write_whole(page, to_html(gathered), "writing the report")
    return page


def gather(folder: RunFolder) -> Gathered:
    """Read a run's folder; of a long run, bounded parts."""
    return Gathered(
        state=read_object(folder.state_file),
        recipe=read_recipe(folder.path / "recipe.yaml"),
        series=read_series(folder.metrics_file),
        samples=_samples(folder.samples_file),
        watched=_watched(folder.metrics_file),
        reward=read_object(folder.path / "reward_eval.json"),
    )


def header(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value) of the report's head, of what is known."""
    state, recipe = gathered.state, gathered.recipe
    data = recipe.get("data") or {}
    versions = state.get("versions") or {}
    known = [
        ("stage", state.get("stage")),
        ("status", state.get("status")),
        ("error", state.get("error")),
        ("base", state.get("base")),
        ("result", state.get("kind")),
        ("data", data.get("train") if isinstance(data, Mapping) else None),
        ("seed", recipe.get("seed")),
        ("seed of the split", data.get("seed") if isinstance(data, Mapping) else None),
        ("recipe", str(state.get("recipe_sha256") or "")[:16]),
        ("begun", utc(state.get("started"))),
        ("seconds", _seconds(state)),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, Mapping) else None),
    ]
    return [(name, str(value)) for name, value in known if value not in (None, "")]


def data_figures(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value) of run.json's data; lists are told by their length."""
    data = gathered.state.get("data")
    if not isinstance(data, Mapping):
        return []
    return [(str(k), str(len(v)) if isinstance(v, (list, dict)) else str(v)) for k, v in data.items() if v != ""]


def final_figures(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value) of run.json's metrics."""
    metrics = gathered.state.get("metrics")
    if not isinstance(metrics, Mapping):
        return []
    return [(str(name), figure(value)) for name, value in metrics.items() if not isinstance(value, (list, dict))]


def ranges(gathered: Gathered) -> list[tuple[str, ...]]:
    """(figure, first, last, lowest, highest, values) of each series."""
    found = []
    for name, series in sorted(gathered.series.items()):
        values = (series.first, series.last, min(series.lows), max(series.highs))
        found.append((name, *map(figure, values), str(series.count)))
    return found


def alarms(gathered: Gathered) -> list[str]:
    """What the report warns of, a sentence each."""
    found = [str(alarm) for alarm in gathered.watched.alarms] if gathered.watched else []
    if gathered.state.get("status") == "failed":
        found.append(f"the run failed: {gathered.state.get('error') or 'no reason was noted'}")
    return found


def figure(value: Any) -> str:
    """A number with four digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def clipped(text: Any) -> str:
    """A sample's text, cut where it is long, saying so."""
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    cut = len(text) - LONGEST_SAMPLE
    return text if cut <= 0 else f"{text[:LONGEST_SAMPLE]} [{cut} characters more]"


def _watched(file: Path) -> Watched | None:
    from alignment.overoptimisation import fit_gold, points_of, watch

    points = points_of(read_lines(file))
    if len(points) < 2:
        return None
    return Watched(tuple(points), tuple(watch(points)), fit_gold(points))


def _samples(file: Path) -> dict[int, list[dict[str, Any]]]:
    """The first samples of steps that are spread over the run; memory stays bounded however many there are."""
    held: dict[int, list[dict[str, Any]]] = {}
    for line in read_lines(file):
        step = line.get("step")
        if not isinstance(step, int):
            continue
        if len(held.setdefault(step, [])) < SAMPLES_A_STEP:
            held[step].append(line)
        if len(held) > 256:
            held = {key: held[key] for key in [*sorted(held)[:-1:2], max(held)]}
    steps = sorted(held)
    last = len(steps) - 1
    chosen = {steps[round(i * last / max(1, SAMPLE_STEPS - 1))] for i in range(SAMPLE_STEPS)} if steps else set()
    return {step: held[step] for step in sorted(chosen)}


def _seconds(state: Mapping[str, Any]) -> str | None:
    begun, ended = state.get("started"), state.get("finished")
    if not isinstance(begun, (int, float)) or not isinstance(ended, (int, float)):
        return None
    return f"{ended - begun:.0f}"
