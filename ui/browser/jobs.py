"""Jobs: work that lives on when the page, or the whole app, is closed. Each is a process with a folder of its own.

home()/jobs/ID/
    job.json        what was asked: kind, title, person, spec
    progress.json   what it told last; replaced whole
    ended.json      how it ended; absent while it runs, and for ever when it was killed
    alive           locked by the process for as long as it lives, so that no pid is taken for another's
    output.log      whatever it printed
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from decoder.errors import CheckpointFailed, ServiceError, UsageError
from decoder.file_lock import take
from decoder.runs.record import read_object, write_whole
from decoder.settings import home
from ui.browser.settings import ui_settings

State: TypeAlias = Literal["starting", "running", "done", "failed", "stopped", "killed"]
STEP = "starting a job"
LOCK_SECONDS = 10.0
STARTING_SECONDS = 30.0
"""How long a process may take before it holds its lock; then it counts as killed."""
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now.

    Attributes:
        kind: what it does, a key of `job_kinds.KINDS`.
        title: for people; text that nobody vouches for may be in it.
        person: whose it is.
        started, ended: seconds since 1970; `ended` is 0 while it runs.
        spec: what was asked, as data.
        progress: what it told last.
        result: what it gave in the end, when it is done.
        error: step, cause and remedy, when it failed or was stopped.
    """

    id: str
    folder: Path
    kind: str
    title: str
    person: str
    started: float
    spec: Mapping[str, Any]
    state: State
    ended: float = 0.0
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def going(self) -> bool:
        """It runs, or is about to."""
        return self.state in ("starting", "running")


def jobs_folder() -> Path:
    """Where jobs are kept."""
    return home() / "jobs"


def start(kind: str, title: str, spec: Mapping[str, Any], person: str = "") -> Job:
    """Start a job process and return at once.

    Raises:
        UsageError: as many run as the settings allow.
        ServiceError: it cannot be written or started.
    """
    job_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    folder = jobs_folder() / job_id
    asked = {"kind": kind, "title": title, "person": person, "started": time.time(), "spec": dict(spec)}
    try:
        jobs_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        with _one_at_a_time():
            _check_room()
            folder.mkdir(mode=0o700)
            write_whole(folder / "job.json", json.dumps(asked), STEP)
        _spawn(folder)
    except (OSError, CheckpointFailed) as error:
        shutil.rmtree(folder, ignore_errors=True)
        cause = error.cause if isinstance(error, CheckpointFailed) else str(error)
        raise ServiceError(STEP, cause, "Free some space, or mend HEARTH_HOME") from error
    return _read(folder)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two that start at once count each other. Raises ServiceError when another hangs."""
    with (jobs_folder() / ".starting").open("w") as lock:
        if not take(lock, LOCK_SECONDS):
            raise ServiceError(STEP, f"another has been starting for {LOCK_SECONDS:g} s", "Try again")
        yield


def _check_room() -> None:
    """Raises UsageError when as many jobs run as the settings allow."""
    most = ui_settings().max_jobs
    unended = [folder for folder in _folders() if not (folder / "ended.json").is_file()]
    if sum(_read(folder).going for folder in unended) >= most:
        raise UsageError(STEP, f"{most} jobs run already", "Wait for one to end, or stop one")


def every(person: str | None = None, kind: str = "") -> list[Job]:
    """The jobs that there are, newest first; of one person and one kind where these are given."""
    found = []
    for folder in _folders():
        asked = read_object(folder / "job.json")  # of others no more is read: many may have gathered
        if person in (None, str(asked.get("person", ""))) and kind in ("", str(asked.get("kind", ""))):
            found.append(_read(folder, asked))
    return sorted(found, key=lambda job: (job.started, job.id), reverse=True)  # ids of one second come in any order


def _folders() -> list[Path]:
    try:
        inside = [each for each in jobs_folder().iterdir() if _ID.fullmatch(each.name)]
    except FileNotFoundError:
        return []
    return [folder for folder in inside if (folder / "job.json").is_file()]


def find(job_id: str, person: str | None = None) -> Job:
    """The job as it is now. Raises UsageError when there is none, or it is another person's."""
    folder = jobs_folder() / job_id
    if _ID.fullmatch(job_id) and (folder / "job.json").is_file():
        job = _read(folder)
        if person in (None, job.person):
            return job
    raise UsageError("looking for a job", "there is no such job", "It may have been removed")


def stop(job: Job) -> None:
    """Ask it to end: what it does in a checkpoint or less. A job that has ended is left alone."""
    _signal(job, signal.SIGTERM)


def kill(job: Job) -> None:
    """End it at once, with all that it started."""
    _signal(job, signal.SIGKILL)


def remove(job: Job) -> None:
    """Forget a job that has ended, with its folder. Raises UsageError while it runs."""
    if find(job.id).going:
        raise UsageError("removing a job", "it is still running", "Stop it first")
    shutil.rmtree(job.folder, ignore_errors=True)


def wait(job: Job, seconds: float) -> Job:
    """The job once it has ended, or as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    while (now := find(job.id)).going and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


def output(job: Job, most: int = 20_000) -> str:
    """The end of what it printed, at most so many bytes."""
    try:
        with (job.folder / "output.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _spawn(folder: Path) -> None:
    """The process, in a session of its own; a thread waits for it, so that it does not stay a zombie."""
    house = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH"))))}
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ui.browser.job_process", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
    try:
        (folder / "pid").write_text(str(process.pid), encoding="utf-8")
    except OSError:
        process.kill()  # nobody could stop it later
        raise
    finally:
        _reap(process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    threading.Thread(target=process.wait, name=f"hearth-job-{process.pid}", daemon=True).start()


def _read(folder: Path, known: Mapping[str, Any] | None = None) -> Job:
    asked, ended = known or read_object(folder / "job.json"), read_object(folder / "ended.json")
    started = float(asked.get("started") or 0)
    return Job(
        id=folder.name,
        folder=folder,
        kind=str(asked.get("kind", "")),
        title=str(asked.get("title", "")),
        person=str(asked.get("person", "")),
        started=started,
        spec=asked.get("spec") or {},
        state=ended.get("state") or _unended(folder, started),
        ended=float(ended.get("at") or 0),
        progress=read_object(folder / "progress.json"),
        result=ended.get("result") or {},
        error=ended.get("error") or {},
    )


def _unended(folder: Path, started: float) -> State:
    """Of a job without an end: it runs as long as it holds its lock."""
    try:
        with (folder / "alive").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "running"
    except OSError:
        return "starting" if time.time() - started < STARTING_SECONDS else "killed"
    ended: State | None = read_object(folder / "ended.json").get("state")  # it may have ended meanwhile
    return ended or "killed"


def _signal(job: Job, number: signal.Signals) -> None:
    if not find(job.id).going:
        return
    with contextlib.suppress(OSError, ValueError):
        os.killpg(int((job.folder / "pid").read_text(encoding="utf-8")), number)
