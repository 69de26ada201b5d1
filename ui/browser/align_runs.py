"""Training runs as the page lists them: those that it started, and those of the command line, with how each stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from alignment.settings import alignment_settings
from alignment.stages import STAGES
from decoder.runs.folder import RunFolder, is_going
from decoder.runs.metric_series import read_lines, read_series
from decoder.runs.record import read_object, read_recipe
from ui.browser import jobs
from ui.browser.align_recipes import runs_folder
from ui.browser.jobs import Job

State: TypeAlias = Literal["preparing", "running", "finished", "stopped", "failed", "killed"]
POINTS = 300
"""Of a curve on the page."""
MOST_RUNS = 200
MOST_SAMPLES = 6
ALARM = "overoptimisation_alarm"


@dataclass(frozen=True, slots=True)
class Run:
    """A run.

    Attributes:
        key: its folder; unique.
        state: "preparing" before its folder says that it trains; "killed" when it says so and nobody does.
        noted: run.json.
        job: the newest job that worked on it; None for one that was started elsewhere.
    """

    key: str
    folder: RunFolder
    name: str
    stage: str
    state: State
    started: float
    noted: dict[str, Any]
    job: Job | None

    @property
    def going(self) -> bool:
        """It trains, or is about to."""
        return self.state in ("preparing", "running")

    @property
    def resumable(self) -> bool:
        """It ended before its time, and its folder says what to go on with."""
        return self.state in ("stopped", "failed", "killed") and (self.folder.path / "recipe.yaml").is_file()


def every() -> list[Run]:
    """All runs, the newest first."""
    training = [job for job in jobs.every(kind="align") if not job.spec.get("dry_run")]
    by_output: dict[str, Job] = {}
    for job in training:  # the newest first
        by_output.setdefault(str(_output(job)), job)
    folders = {
        str(folder): folder for folder in (*_folders(runs_folder()), *_folders(alignment_settings().runs_folder))
    }
    outputs = {path: Path(path) for path in by_output}
    found = [_run(folder, by_output.get(path)) for path, folder in (outputs | folders).items()]
    return sorted((run for run in found if run.stage in STAGES), key=lambda run: -run.started)[:MOST_RUNS]


def find(key: str) -> Run | None:
    """The run with this folder, as it is now."""
    return next((run for run in every() if run.key == key), None)


def progress(run: Run) -> tuple[int, int, float | None]:
    """The step that it is at, of how many (0 while unknown), and about how many seconds are left."""
    told = run.job.progress if run.job is not None and run.job.going else {}
    total = int(run.noted.get("max_steps") or told.get("total") or 0)
    step = int(told.get("step") or run.noted.get("steps") or last_step(run.folder))
    left = told.get("left")
    return step, total, float(left) if isinstance(left, (int, float)) else None


def last_step(folder: RunFolder) -> int:
    """The step of the last line of its figures."""
    return max((int(line.get("step") or 0) for line in read_lines(folder.metrics_file)), default=0)


def curves(folder: RunFolder, names: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Of each figure that there is: {"step", name} a point, at most 300."""
    found = {}
    series = read_series(folder.metrics_file)
    for name in names:
        if name in series:
            pairs = list(zip(series[name].steps, series[name].means, strict=True))
            every_nth = -(-len(pairs) // POINTS)
            kept = pairs[::-1][::every_nth][::-1]  # the last point is always among them
            found[name] = [{"step": step, name: value} for step, value in kept]
    return found


def alarms(folder: RunFolder) -> list[str]:
    """What the run warned of, in words."""
    return [str(line[ALARM]) for line in read_lines(folder.metrics_file) if line.get(ALARM)][-5:]


def samples(folder: RunFolder) -> list[dict[str, Any]]:
    """What the model last said to the fixed prompts."""
    found = list(read_lines(folder.samples_file))
    latest = [line for line in found if line.get("step") == found[-1].get("step")] if found else []
    return latest[:MOST_SAMPLES]


def recipe_values(run: Run) -> dict[str, Any]:
    """Its recipe as it was run, to go on with in the same folder; empty when it cannot be read."""
    values = read_recipe(run.folder.path / "recipe.yaml")
    return values | {"output": str(run.folder.path)} if values else {}


def report_files(run: Run) -> list[Path]:
    """Its reports, as far as there are any."""
    return [file for name in ("report.html", "report.md") if (file := run.folder.path / name).is_file()]


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [folder.absolute() for folder in sorted(root.iterdir()) if (folder / "run.json").is_file()]


def _output(job: Job) -> Path:
    return Path(str(job.spec.get("output") or job.folder / "run"))


def _run(folder: Path, job: Job | None) -> Run:
    run, recipe = RunFolder(folder), (job.spec.get("recipe") or {}) if job else {}
    noted = read_object(run.state_file)
    stage, name = (
        str(noted.get("stage") or recipe.get("stage") or ""),
        str(noted.get("name") or recipe.get("name") or ""),
    )
    started = max(float(noted.get("started") or 0), job.started if job else 0.0)
    return Run(str(folder), run, name or folder.name, stage, _state(run, noted, job), started, noted, job)


def _state(run: RunFolder, noted: dict[str, Any], job: Job | None) -> State:
    status = str(noted.get("status") or "")
    if job is not None and job.going:
        return "running" if status == "running" and str(noted.get("pid")) == _pid(job) else "preparing"
    if status == "running":
        return "running" if is_going(run) else "killed"
    if status in ("finished", "stopped", "failed") and (job is None or job.started <= _changed(run)):
        return status  # type: ignore[return-value]
    if job is None:
        return "killed"
    return {"done": "finished", "failed": "failed", "stopped": "stopped"}.get(job.state, "killed")  # type: ignore[return-value]


def _changed(run: RunFolder) -> float:
    try:
        return run.state_file.stat().st_mtime
    except OSError:
        return 0.0


def _pid(job: Job) -> str:
    try:
        return (job.folder / "pid").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
