"""What a run looked like: report.md, and report.html, which stands alone and runs nothing.

Whatever run.json, metrics.jsonl, evaluation.json and samples/ hold is shown; what is not there is left out, not drawn
as nothing. The same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import MissingExtra
from decoder.runs.folder import RunFolder
from decoder.runs.metric_series import Series, is_figure, read_series
from decoder.runs.record import read_object, read_recipe, utc, write_whole

GRIDS = 8
"""Sample grids that a report shows, spread over the run."""
BESIDE = ("progress", "seconds")
"""What stands in every line of metrics.jsonl to say where in the run it was."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a report shows, from a run's folder.

    Attributes:
        state: run.json.
        recipe: recipe.yaml as data; empty when there is none.
        series: figures of metrics.jsonl by name.
        evaluation: evaluation.json; empty when there is none.
        grids: (step, file) of sample grids.
    """

    state: Mapping[str, Any]
    recipe: Mapping[str, Any]
    series: Mapping[str, Series]
    evaluation: Mapping[str, Any]
    grids: Sequence[tuple[int, Path]]


def write_report(run: RunFolder | str | Path) -> Path:
    """Write report.md and report.html into a run's folder, and return the path of report.html.

    Raises:
        CheckpointFailed: the disk refuses.
        MissingExtra: matplotlib is not installed.
    """
    from generators.report_html import to_html
    from generators.report_markdown import to_markdown

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    gathered = gather(folder)
    page = folder.path / "report.html"
    write_whole(folder.path / "report.md", to_markdown(gathered), "writing the report")
    write_whole(page, to_html(gathered), "writing the report")
    return page


def renew_report(folder: RunFolder) -> None:
    """As `write_report`; without matplotlib there is none, and run.json says why. Raises CheckpointFailed."""
    try:
        write_report(folder)
    except MissingExtra as error:
        folder.note(report=str(error))


def gather(folder: RunFolder) -> Gathered:
    """Read a run's folder; of a long run, bounded parts."""
    found = read_series(folder.metrics_file)
    return Gathered(
        state=read_object(folder.state_file),
        recipe=read_recipe(folder.path / "recipe.yaml"),
        series={name: series for name, series in found.items() if name not in BESIDE},
        evaluation=read_object(folder.path / "evaluation.json"),
        grids=_grids(folder.path / "samples"),
    )


def header(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value) of the report's head, of what is known."""
    state, recipe = gathered.state, gathered.recipe
    parameters, versions = state.get("parameters"), state.get("versions")
    seconds = state.get("seconds")
    known = [
        ("family", state.get("family")),
        ("status", state.get("status")),
        ("error", state.get("error")),
        ("ended", {"early": "early: no better bound", "alarm": "by an alarm"}.get(str(state.get("ended")))),
        ("steps", state.get("steps")),
        ("weights of step", state.get("result_step") if state.get("result_step") != state.get("steps") else None),
        ("seconds of training", f"{seconds:.1f}" if isinstance(seconds, float) else None),
        ("parameters", parameters.get("all") if isinstance(parameters, Mapping) else None),
        ("seed", recipe.get("seed")),
        ("recipe", str(state.get("recipe_sha256") or "")[:16]),
        ("begun", utc(state.get("started"))),
        ("ended at", utc(state.get("finished"))),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, Mapping) else None),
    ]
    return [(name, str(value)) for name, value in known if value not in (None, "")]


def alarms(gathered: Gathered) -> list[str]:
    """What the report warns of, a sentence each."""
    rung = gathered.state.get("alarms")
    found = [f"step {each['step']}: {each['text']}" for each in rung] if isinstance(rung, list) else []
    if gathered.state.get("status") == "failed":
        found.append(f"the run failed: {gathered.state.get('error') or 'no reason was noted'}")
    return found


def data_figures(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value) of run.json's data; lists are told by their length."""
    data = gathered.state.get("data")
    if not isinstance(data, Mapping):
        return []
    return [(str(k), str(v)) for k, v in data.items() if not isinstance(v, (list, dict)) and v not in ("", 0)]


def skipped(gathered: Gathered) -> list[str]:
    """The pictures that were left out, and why."""
    data = gathered.state.get("data")
    found = data.get("skipped_pictures") if isinstance(data, Mapping) else None
    return [str(each) for each in found] if isinstance(found, list) else []


def final_figures(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value) of run.json's metrics: held-out figures of the model that was kept."""
    metrics = gathered.state.get("metrics")
    return [(str(name), figure(value)) for name, value in metrics.items()] if isinstance(metrics, Mapping) else []


TOLD = ("family", "name", "seed", "training_seconds")
"""What of an evaluation the report's head says already."""


def evaluation_figures(gathered: Gathered) -> list[tuple[str, str]]:
    """(what, value with its interval) of evaluation.json, however deep it is nested, but what `judged` and the head
    tell.
    """
    plain = {name: part for name, part in gathered.evaluation.items() if name not in TOLD and not _is_judged(part)}
    return [(name, value) for name, value in _figures(plain, "") if value]


def judged(gathered: Gathered) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """(judge, rows) of evaluation.json; a row is a figure, the samples' value and that of real test pictures."""
    from generators.metrics import FIGURES

    found, titles = [], {"n": "pictures", "modes_present": "modes of the training pictures", **FIGURES}
    for part in gathered.evaluation.values():
        if _is_judged(part):
            measures, floor = (dict(_figures(part[name], "")) for name in ("measures", "floor"))
            rows = [
                (titles.get(name, name), value, floor.get(name, ""))
                for name, value in measures.items()
                if name != "judge"
            ]
            right = part.get("test_accuracy")
            sure = f", {right:.3f} right on held-out pictures" if is_figure(right) else ""
            found.append((f"{part.get('judge', '')}{sure}", rows))
    return found


JUDGED_HEAD = ("figure", "samples", "real test pictures")


def ranges(gathered: Gathered) -> list[tuple[str, ...]]:
    """(figure, first, last, lowest, highest, values) of each series."""
    found = []
    for name, series in sorted(gathered.series.items()):
        values = (series.first, series.last, min(series.lows), max(series.highs))
        found.append((name, *map(figure, values), str(series.count)))
    return found


RANGE_HEAD = ("figure", "first", "last", "lowest", "highest", "values")


def figure(value: Any) -> str:
    """A number with four digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_judged(part: Any) -> bool:
    return isinstance(part, Mapping) and all(isinstance(part.get(name), Mapping) for name in ("measures", "floor"))


def _figures(found: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        told = f"{where}{name}"
        if isinstance(value, Mapping) and is_figure(value.get("value")):
            low, high = value.get("low"), value.get("high")
            interval = f" [{figure(low)}, {figure(high)}]" if is_figure(low) and is_figure(high) else ""
            yield told, figure(value["value"]) + interval
        elif isinstance(value, Mapping):
            yield from _figures(value, f"{told} / ")
        elif value is not None and not isinstance(value, list):
            yield told, figure(value)


def _grids(folder: Path) -> list[tuple[int, Path]]:
    """Spread over the run, first and last among them."""
    found = sorted((int(p.stem[5:]), p) for p in folder.glob("step-*.png") if p.stem[5:].isdigit())
    last = len(found) - 1
    chosen = sorted({round(i * last / max(1, GRIDS - 1)) for i in range(GRIDS)}) if found else []
    return [found[i] for i in chosen]
