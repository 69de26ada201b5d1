"""What happened in the registry, one JSON object a line, only ever appended: `<models>/history.jsonl`.

It is for people. What is promoted is said by `decoder/alias.py` alone, so that a line lost to a crash changes nothing.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from alignment.registry_artefact import models_folder
from decoder.errors import CheckpointFailed


def record(event: str, **facts: Any) -> None:
    """Append one event with its time. Raises CheckpointFailed when the disk refuses."""
    file = models_folder() / "history.jsonl"
    line = json.dumps({"time": time.time(), "event": event, **facts}, default=str).encode() + b"\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as opened:
            end = opened.seek(0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                line = b"\n" + line  # a crash cut off the line before
            opened.write(line)
            os.fsync(descriptor)
    except OSError as error:
        raise CheckpointFailed("writing the history", f"{file}: {error.strerror}", "Free some space") from error


def history() -> list[dict[str, Any]]:
    """All events, the oldest first; lines that a crash cut off, or that are none of ours, are passed over."""
    file = models_folder() / "history.jsonl"
    found = []
    for line in file.read_bytes().splitlines() if file.exists() else []:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("time"), (int, float)):
            found.append(event)
    return found
