"""The process of a job: `python -m ui.browser.job_process FOLDER`. Runs the function of its kind and says how it ended.

A kind is a module with `run(spec, job) -> result`: it is given what was asked as data and the `Running` job, and
returns data. Errors of the house become the job's error; SIGTERM raises KeyboardInterrupt in it, unless what it runs
handles that signal itself, as training does.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decoder.errors import HearthError, Stopped
from decoder.runs.record import read_object, write_whole
from ui.browser.job_kinds import KINDS

TELL_SECONDS = 0.25


@dataclass(slots=True)
class Running:
    """A job from within.

    Attributes:
        folder: its own; files that it makes for its page go there.
    """

    folder: Path
    _told: dict[str, Any] = field(default_factory=dict)
    _at: float = 0.0

    def tell(self, *, now: bool = False, **progress: Any) -> None:
        """Add to what the page sees; written at most four times a second unless `now`."""
        self._told |= progress
        if now or time.monotonic() - self._at >= TELL_SECONDS:
            self._at = time.monotonic()
            write_whole(self.folder / "progress.json", json.dumps(self._told, default=str), "telling progress")


def main(folder: Path) -> int:
    """Run the job in `folder`. Returns the exit code."""
    aside = folder / ".alive"
    lock = os.open(aside, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    aside.replace(folder / "alive")  # there only once it is locked, or a reader would take the job for killed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked, job = read_object(folder / "job.json"), Running(folder)
    ended: dict[str, Any] = {"state": "done"}
    try:
        module = importlib.import_module(KINDS[asked["kind"]])
        result: Mapping[str, Any] = module.run(asked["spec"], job)
        ended["result"] = dict(result)
    except KeyboardInterrupt:
        ended["state"] = "stopped"
    except Stopped as error:
        ended |= {"state": "stopped", "error": _said(error)}
    except HearthError as error:
        ended |= {"state": "failed", "error": _said(error)}
    except Exception as error:  # noqa: BLE001  # told to the page; the traceback is in the log
        traceback.print_exc()
        cause = f"{type(error).__name__}: {error}"
        ended |= {"state": "failed", "error": {"step": "a bug in Hearth", "cause": cause, "remedy": ""}}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if job._told:
        job.tell(now=True)
    write_whole(folder / "ended.json", json.dumps({**ended, "at": time.time()}, default=str), "ending a job")
    return 0 if ended["state"] == "done" else 1


def _said(error: HearthError) -> dict[str, str]:
    return {"step": error.step, "cause": error.cause, "remedy": error.remedy}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
