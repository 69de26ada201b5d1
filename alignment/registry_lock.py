"""The registry's two locks: one for what is registered, one for what is promoted. Both end with their process.

Whoever takes both takes `WRITING` first; `SWITCHING` is held for moments alone, so that a rollback never waits for
somebody's copying.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from alignment.errors import RegistryError
from alignment.registry_artefact import models_folder
from decoder.errors import CheckpointFailed
from decoder.file_lock import take

WRITING, SWITCHING = ".lock", ".promote.lock"
WAIT_SECONDS = {WRITING: 600.0, SWITCHING: 60.0}
"""The first lasts as long as copying and hashing a whole model does."""


@contextlib.contextmanager
def locked(which: str, step: str) -> Iterator[Path]:
    """The registry's folder, made where there is none, with one holder of this lock at a time.

    Raises:
        RegistryError: another process does not let go of it.
        CheckpointFailed: the folder cannot be written.
    """
    root = models_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / which).open("w")
    except OSError as error:
        raise CheckpointFailed(step, f"{root}: {error.strerror or error}", "Set [alignment] models") from error
    with lock:
        if not take(lock, WAIT_SECONDS[which]):
            cause = f"another process has been at work on {root} for {WAIT_SECONDS[which]:g} s"
            raise RegistryError(step, cause, "Look for a process that hangs")
        yield root
