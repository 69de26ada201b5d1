"""The job "align": a recipe's stage, trained or only looked at, in a process that outlives the page.

spec: {"recipe": plain data, "output": folder, "resume": bool}, or {"recipe": …, "dry_run": true, "measure": bool,
"rows": [places]}. SIGTERM ends training after a checkpoint.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder
    from ui.browser.job_process import Running

EVERY = 1.0
"""Seconds between two looks at the run's figures."""
MOST_TOKENS = 2000
"""Of a row whose mask is shown."""


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Do what was asked. Returns where the result is, or what the dry run found. Raises as `stages.train`."""
    from alignment.models import require_training
    from alignment.recipe import make_recipe

    recipe = make_recipe(dict(spec["recipe"]))
    require_training()
    _quiet()
    if spec.get("dry_run"):
        return look(recipe, bool(spec.get("measure", True)), [int(place) for place in spec.get("rows") or (0, 1, 2)])
    return _train(recipe, bool(spec.get("resume")), job)


def look(recipe: Recipe, measure: bool, rows: list[int]) -> dict[str, Any]:
    """A dry run as data: the lines of its summary, and which tokens of the rows are trained."""
    from alignment.dry_run import dry_run

    found = dry_run(recipe, time_it=measure, shown=rows)
    return {
        "facts": [list(fact) for fact in found.facts()],
        "preview": [_bounded(asdict(row)) for row in found.preview],
        "live": found.live,
        "refusal": str(found.refusal) if found.refusal else "",
    }


def _bounded(row: dict[str, Any]) -> dict[str, Any]:
    more = max(0, len(row["ids"]) - MOST_TOKENS)
    return {name: row[name] if name == "name" else list(row[name])[:MOST_TOKENS] for name in row} | {"more": more}


def _train(recipe: Recipe, resume: bool, job: Running) -> dict[str, Any]:
    from alignment.run_folder import folder_of
    from alignment.stages import train

    with _followed(folder_of(recipe), job):
        folder = train(recipe, resume=resume)
    state = folder.state
    metrics = {name: value for name, value in (state.get("metrics") or {}).items() if isinstance(value, (int, float))}
    return {"folder": str(folder.path), "artefact": str(state.get("artefact") or ""), "metrics": metrics}


@contextlib.contextmanager
def _followed(folder: RunFolder, job: Running) -> Iterator[None]:
    """Tell the page the step and the remaining time, until it ends."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(folder, job, ended), daemon=True, name="hearth-align-follow")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


def _follow(folder: RunFolder, job: Running, ended: threading.Event) -> None:
    from alignment.run_progress import Progress

    progress = Progress(folder)
    while not ended.wait(EVERY):
        now = time.monotonic()
        if progress.read(now):
            job.tell(step=progress.step, total=progress.total, left=progress.seconds_left(now), now=True)


def _quiet() -> None:
    """No bars of libraries in what the job prints."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
