"""A run's folder: its recipe, its state, its metrics as they come, its checkpoints, its result.

recipe.yaml     as it was run, overrides included
run.json        state, seeds, hashes, versions; replaced whole
metrics.jsonl   one object a line: {"step": 10, "loss": 2.1, …}
samples.jsonl   {"step": 10, "prompt": "…", "response": "…", "reward": 0.3}
checkpoint-N/   what --resume goes on from
model/          the result: an adapter or whole weights, with the tokenizer
report.md, report.html
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import CheckpointFailed, RecipeError
from decoder.runs.metric_series import read_lines
from decoder.runs.record import write_whole

STEP = "opening the run's folder"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run writes."""

    path: Path

    @property
    def state_file(self) -> Path:
        """run.json."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """metrics.jsonl."""
        return self.path / "metrics.jsonl"

    @property
    def samples_file(self) -> Path:
        """samples.jsonl."""
        return self.path / "samples.jsonl"

    @property
    def model(self) -> Path:
        """The folder of the result."""
        return self.path / "model"

    @property
    def state(self) -> dict[str, Any]:
        """run.json; empty when there is none. Raises RecipeError when it cannot be read."""
        try:
            found = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise RecipeError(STEP, f"{self.state_file} cannot be read: {error}", "Give another output") from error
        return found if isinstance(found, dict) else {}

    def note(self, **values: Any) -> None:
        """Add to run.json, which is replaced whole. Raises CheckpointFailed when the disk refuses."""
        text = json.dumps({**self.state, **values}, indent=1, default=str) + "\n"
        write_whole(self.state_file, text, "noting the run's state")

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl; figures that are no number are written as null."""
        figures = {key: _finite(value) for key, value in metrics.items() if key != "step"}
        self._append(self.metrics_file, {"step": step, **figures})

    def sample(self, step: int, prompt: str, response: str, **figures: Any) -> None:
        """Append one line to samples.jsonl."""
        self._append(self.samples_file, {"step": step, "prompt": prompt, "response": response, **figures})

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; after a resumption the last one of a step and its keys counts."""
        return list(read_lines(self.metrics_file))

    def samples(self) -> list[dict[str, Any]]:
        """The lines of samples.jsonl."""
        return list(read_lines(self.samples_file))

    def forget_after(self, step: int) -> None:
        """Cut lines of steps after `step`, which a run that goes on from a checkpoint writes again."""
        for file in (self.metrics_file, self.samples_file):
            if file.exists():
                kept = "".join(json.dumps(line) + "\n" for line in read_lines(file) if line.get("step", 0) <= step)
                write_whole(file, kept, "cutting the run's figures")

    def checkpoints(self) -> list[Path]:
        """Finished checkpoints, oldest first."""
        found = [p for p in self.path.glob("checkpoint-*") if p.is_dir() and p.name[11:].isdigit()]
        return sorted(found, key=lambda p: int(p.name[11:]))

    @staticmethod
    def _append(file: Path, line: Mapping[str, Any]) -> None:
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def check_run(folder: RunFolder, fingerprint: str, resume: bool) -> None:
    """Refuse where a run can neither begin nor go on; nothing is made.

    Raises:
        RecipeError: it holds a run and `resume` is false, the run that it holds is of another recipe, it holds a model
            of another origin, or it cannot be made or written.
    """
    path, known = folder.path, folder.state
    _check_place(path)
    if not known and (folder.model.exists() or folder.checkpoints()):
        cause = f"{path} holds a model or checkpoints, and no run.json that says of which run"
        raise RecipeError(STEP, cause, "Give another output")
    if known and not resume:
        raise RecipeError(STEP, f"{path} already holds a run", "Add --resume to go on with it, or give another output")
    if known and known.get("recipe_sha256") != fingerprint:
        raise RecipeError(STEP, f"the run in {path} is of another recipe", "Resume with the recipe.yaml in it")


def open_run(folder: RunFolder, plain: Mapping[str, Any], fingerprint: str, resume: bool = False, **about: Any) -> None:
    """Make the run's folder where there is none, with its recipe (`plain` data) and what is noted `about` it.

    Raises:
        RecipeError: as `check_run`.
    """
    check_run(folder, fingerprint, resume)
    path, known = folder.path, folder.state
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(STEP, f"{path} cannot be made: {error.strerror}", "Give another output") from error
    if not known:
        _write_recipe(path / "recipe.yaml", plain)
        folder.note(**about, recipe_sha256=fingerprint, started=time.time())
    folder.note(status="running", pid=os.getpid(), versions=_versions())


@contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """Keep other processes from going on with the same run meanwhile.

    Raises:
        RecipeError: one does so already, or the folder cannot be made.
    """
    import fcntl

    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder.path, os.O_RDONLY)
    except OSError as error:
        raise RecipeError(STEP, f"{folder.path} cannot be made: {error.strerror}", "Give another output") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        cause = f"another process (pid {folder.state.get('pid')}) trains in {folder.path}"
        raise RecipeError(STEP, cause, "Wait until it ends") from error
    except OSError:
        pass  # a file system without locks: two runs at once are then the user's to avoid
    try:
        yield
    finally:
        os.close(handle)


def is_going(folder: RunFolder) -> bool:
    """Whether the process that run.json names still holds the run's folder. Raises RecipeError, as `state`.

    A run that says that it runs, and does not, was killed. The lock is tried only while that process lives, so that
    looking never keeps another one from going on with the run.
    """
    import fcntl

    state = folder.state
    if state.get("status") != "running" or not _lives(state.get("pid")):
        return False
    try:
        handle = os.open(folder.path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return True  # a file system without locks: the process is all that is known
    finally:
        os.close(handle)
    return False


def _lives(pid: Any) -> bool:
    """Whether there is a process of this number."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _check_place(path: Path) -> None:
    """Refuse a path that is no folder, or below one where nothing can be written. Raises RecipeError."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise RecipeError(STEP, f"{there} is a file, not a folder", "Give another output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RecipeError(STEP, f"nothing can be written in {there}", "Give another output")


def _write_recipe(file: Path, plain: Mapping[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(dict(plain), sort_keys=False, allow_unicode=True)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CheckpointFailed("noting the recipe", str(error), "Free some space") from error


def _versions() -> dict[str, str]:
    from decoder.runs.code_version import hearth_version, library_versions

    return {"hearth": hearth_version(), **library_versions()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
