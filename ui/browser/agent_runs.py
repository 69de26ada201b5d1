"""Runs of agents as a person's history: a run is a job and those that went on with it, and one transcript.

home()/jobs/ID/
    run.jsonl       the transcript; a job that goes on with a run begins with a copy of it
    continued.json  the id of the job that went on with this one's run: one alone can, or effects would come twice
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import ServiceError, UsageError
from decoder.runs.record import read_object
from ui.browser import jobs
from ui.browser.agent_spec import AgentSpec, spec_of
from ui.browser.jobs import Job

if TYPE_CHECKING:
    from agents.transcript import Recording

KIND = "agent"
TRANSCRIPT = "run.jsonl"
LONGEST_TITLE = 80


def start(spec: AgentSpec) -> Job:
    """Start a run in a job of its own. Raises as `jobs.start`."""
    title = " ".join(spec.task.split())
    return jobs.start(KIND, title[:LONGEST_TITLE], spec.data(), spec.person)


def go_on(job: Job) -> Job:
    """Go on with a run that was stopped, killed or failed. Raises UsageError when another job does already."""
    if job.going or continued(job.folder):
        raise UsageError("going on with a run", "it goes on already", "Open it from the list")
    return jobs.start(KIND, job.title, replace(spec_of(job.spec), resume=job.id, fork="").data(), job.person)


def fork(job: Job, step: int, task: str) -> Job:
    """A new run that shares this one's steps up to `step`, perhaps with another task. Raises as `jobs.start`."""
    task = task.strip()
    spec = replace(spec_of(job.spec), task=task, resume="", fork=job.id, fork_step=step)
    return jobs.start(KIND, " ".join((task or job.title).split())[:LONGEST_TITLE], spec.data(), job.person)


def every(person: str) -> list[Job]:
    """The runs of a person, newest first, each as the job that went on with it last."""
    return [job for job in jobs.every(person, KIND) if not continued(job.folder)]


def find(job_id: str, person: str) -> Job:
    """The run as it is now, of whichever of its jobs this is the id. Raises UsageError when it is not theirs."""
    job = jobs.find(job_id, person)
    if job.kind != KIND:
        raise UsageError("looking for a run", "there is no such run", "It may have been removed")
    after = continued(job.folder)
    return find(after, person) if after else job


def remove(job: Job) -> None:
    """Forget a run with all of its jobs. Raises UsageError while it runs."""
    before = _before(job)
    jobs.remove(job)
    if before is not None and continued(before.folder) == job.id:
        remove(before)


def transcript_of(job: Job) -> Path | None:
    """Its transcript; of one that went on with another and has not begun yet, the other's. None before any."""
    if (own := job.folder / TRANSCRIPT).is_file():
        return own
    before = _before(job)
    return transcript_of(before) if before is not None else None


def recording(job: Job) -> Recording | None:
    """What its transcript holds up to now. Raises TranscriptError for a damaged one."""
    path = transcript_of(job)
    if path is None:
        return None
    now = path.stat()
    return _recording(path, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=32)
def _recording(path: Path, size: int, changed: int) -> Recording | None:
    from agents.transcript import read

    found = read(path)
    return found if found.events else None


def continued(folder: Path) -> str:
    """The id of the job that went on with this one's run; empty where none did."""
    return str(read_object(folder / "continued.json").get("job", ""))


def taken_over(before: Job, folder: Path) -> Path:
    """The transcript of a run in the folder of the job that goes on with it; no other job can from then on.

    Raises:
        UsageError: it runs, another went on with it, or there is nothing to go on with.
        ServiceError: it cannot be copied.
    """
    step, old = "going on with a run", transcript_of(before)
    if before.going or old is None:
        cause = "it is still running" if before.going else "it never began"
        raise UsageError(step, cause, "Wait for its end" if before.going else "Start it anew")
    try:
        _claim(before, old, folder.name)
        aside = folder / f".{TRANSCRIPT}"
        shutil.copyfile(old, aside)
        aside.chmod(0o600)
        return aside.replace(folder / TRANSCRIPT)
    except FileExistsError:
        raise UsageError(step, "it goes on already", "Open it from the list") from None
    except OSError as error:
        raise ServiceError(step, str(error), "Free some space") from error


def _claim(job: Job, transcript: Path, by: str) -> None:
    """Say who goes on with it, back to the job that holds the transcript. Raises FileExistsError: another does."""
    try:
        claim = os.open(job.folder / "continued.json", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(claim, "w", encoding="utf-8") as file:
            json.dump({"job": by}, file)
    except FileExistsError:
        if continued(job.folder) != by:
            raise
    before = _before(job)
    if transcript.parent != job.folder and before is not None:
        _claim(before, transcript, job.id)


def _before(job: Job) -> Job | None:
    """The job whose run this one went on with, if it is still there."""
    try:
        return jobs.find(str(job.spec.get("resume", "")), job.person)
    except UsageError:
        return None
