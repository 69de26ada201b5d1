"""What could not be read, and why: told by the jobs of a knowledge base, until it was read or put aside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from decoder.runs.record import read_object, write_whole
from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.knowledge_uploads import is_upload, uploads_folder


def jobs_of(kb_name: str, person: str) -> list[Job]:
    """The jobs of a person about this knowledge base, newest first."""
    return [job for job in jobs.every(person, "index") if job.spec.get("kb") == kb_name]


def failures(kb_name: str, person: str) -> dict[str, str]:
    """The reason by source. Uploads that are not there any more are left out."""
    found: dict[str, str] = {}
    aside = read_object(_aside(kb_name))
    for job in reversed(jobs_of(kb_name, person)):
        told = job.result if job.state == "done" else job.progress
        for source in (*told.get("added", ()), *told.get("updated", ()), *told.get("removed", ())):
            found.pop(source, None)
        failed = told.get("failed") or {}
        found |= {s: str(why) for s, why in failed.items() if job.started > float(aside.get(s) or 0)}
    return {source: why for source, why in found.items() if not _is_gone(source)}


def put_aside(kb_name: str, sources: Iterable[str]) -> None:
    """Do not tell of these any more, until they fail anew. Raises CheckpointFailed when it cannot be written."""
    now = time.time()
    known = {**read_object(_aside(kb_name)), **dict.fromkeys(sources, now)}
    _aside(kb_name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(_aside(kb_name), json.dumps(known), "putting failures aside")


def _aside(kb_name: str) -> Path:
    return uploads_folder() / kb_name / ".aside.json"


def _is_gone(source: str) -> bool:
    return is_upload(source) and not Path(source.partition("!/")[0]).is_file()
