"""Checkpoints that are whole or not there: written aside, listed file by file, flushed, then renamed into place.

A disk that fills or a process that dies in the middle leaves `.partial/`, which nothing goes on from; the last good
checkpoint stays as it was.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decoder.errors import CheckpointFailed, TrainingError

PARTIAL = ".partial"
"""The folder, within the run's, in which a checkpoint is written before it is one."""
LISTING = "whole.json"
"""Each file of a checkpoint and its size in bytes; written last."""
STATE = "trainer_state.json"


def clear_partial(run: Path) -> None:
    """Remove what an interrupted checkpoint left."""
    shutil.rmtree(run / PARTIAL, ignore_errors=True)


def publish(aside: Path, place: Path) -> None:
    """Make the finished checkpoint in `aside` the one at `place`, in one step. Raises OSError."""
    files = sorted(p for p in aside.rglob("*") if p.is_file())
    sizes = {p.relative_to(aside).as_posix(): p.stat().st_size for p in files}
    (aside / LISTING).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    for file in [*files, aside / LISTING]:
        _flush(file)
    _flush(aside)
    if place.exists():
        shutil.rmtree(place)  # one of the same step that is not whole, else the run would have gone on from it
    aside.replace(place)
    _flush(place.parent)


def is_whole(checkpoint: Path) -> bool:
    """Every file that was listed is there at its size, and the trainer's state is JSON."""
    try:
        sizes = json.loads((checkpoint / LISTING).read_text(encoding="utf-8"))
        if STATE in sizes:
            json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        return bool(sizes) and all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def last_whole(checkpoints: list[Path]) -> Path | None:
    """The newest whole one of `checkpoints`, which are in order; None when there is none."""
    return next((found for found in reversed(checkpoints) if is_whole(found)), None)


@contextmanager
def readable(checkpoint: str | Path | None) -> Iterator[None]:
    """A file of the right size may still be damaged: what cannot be read of it is told. Raises TrainingError."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # safetensors, pickle and zip each raise errors of their own
        if checkpoint is None:
            raise
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        cause = f"{Path(checkpoint).name} cannot be read: {said}"
        remedy = "Remove that folder; --resume then goes on from the one before, or begins anew"
        raise TrainingError("going on from a checkpoint", cause, remedy) from error


def step_of(checkpoint: Path | None) -> int:
    """The step after which it was written; -1 for none."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint is not None else -1


def failed(step: int, run: Path, error: BaseException) -> CheckpointFailed:
    """What to say when a checkpoint, or the result, could not be written."""
    good = last_whole(sorted(run.glob("checkpoint-*"), key=step_of))
    stays = f"{good.name} is whole; free some space and go on with --resume" if good else "Free some space"
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return CheckpointFailed(f"writing the checkpoint of step {step}", cause, stays)


def is_disk(error: BaseException) -> bool:
    """Whether the file system refused: an OSError, or what safetensors and torch make of one."""
    text = str(error).lower()
    return isinstance(error, OSError) or "i/o error" in text or "file write failed" in text or "writer failed" in text


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
