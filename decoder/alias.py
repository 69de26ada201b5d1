"""Which model answers when none is named: per base model, the adapter that was promoted in its place.

`home()/aliases.json` holds, by the name of the base model, the served model that `model=""` and `model="default"`
mean, and the one before it. The file is replaced whole; a decoder looks at its stamp before each request, so that a
switch reaches every process on its next request, without a restart, and a request under way stays on its model. Any
other name, the base model's own among them, means just that model.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from decoder.errors import ServiceError, UnknownModel
from decoder.file_lock import take
from decoder.settings import home

DEFAULT = "default"
"""The name that means whatever was promoted; so does no name at all."""
STEP, SWITCHING = "looking up the promoted model", "switching the model"
LOCK_SECONDS = 10.0
Stamp: TypeAlias = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """What stands in a base model's place.

    Attributes:
        model: the served model's name; empty is the base model itself.
        before: what stood there before; empty is the base model, None means that nothing is left to take back.
    """

    model: str
    before: str | None = None


_seen: tuple[Stamp | None, Mapping[str, Target]] = (None, MappingProxyType({}))


def file() -> Path:
    """Where the aliases are kept."""
    return home() / "aliases.json"


def resolve(base: str) -> str:
    """The model that a request to `base` goes to when it names none. Raises ServiceError when the file is damaged."""
    target = targets().get(base)
    return target.model or base if target else base


def targets() -> Mapping[str, Target]:
    """All of them by base model; read again only when the file was replaced. Raises ServiceError when it is damaged."""
    global _seen
    path = file()
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ServiceError(STEP, f"{path} cannot be read: {error.strerror}", "Mend HEARTH_HOME") from error
    stamp = (str(path), found.st_mtime_ns, found.st_ino, found.st_size)
    if _seen[0] != stamp:  # both are swapped together, so that no thread sees one without the other
        _seen = (stamp, _read(path))
    return _seen[1]


def switch(base: str, model: str, before: str | None) -> None:
    """Send requests that name no model to `model` from now on. Raises ServiceError when it cannot be written."""
    with _locked() as path:
        entries = {name: asdict(target) for name, target in (_read(path) if path.exists() else {}).items()}
        entries[base] = asdict(Target(model, before))
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with aside.open("w", encoding="utf-8") as out:
                json.dump(entries, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            aside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            remedy = "Free some space; the model from before still answers"
            raise ServiceError(SWITCHING, str(error), remedy) from error


def gone(base: str, model: str) -> UnknownModel:
    """The error of a server that lacks what was promoted: falling back would hide that others answer than thought."""
    cause = f"the server of {base} does not serve {model}, which is promoted there"
    remedy = f"Load it: hearth models load {model}; or take it back: hearth models rollback"
    return UnknownModel("asking the decoder", cause, remedy)


def _read(path: Path) -> Mapping[str, Target]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {str(base): _target(entry) for base, entry in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ServiceError(STEP, f"{path} is damaged: {error}", "Remove it, then promote again") from error


def _target(entry: Any) -> Target:
    model, before = entry["model"], entry["before"]
    if not isinstance(model, str) or not (before is None or isinstance(before, str)):
        raise TypeError("a name is no text")
    return Target(model, before)


@contextlib.contextmanager
def _locked() -> Iterator[Path]:
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.with_name(".aliases.lock").open("w")
    except OSError as error:
        raise ServiceError(SWITCHING, f"{path} cannot be written: {error.strerror}", "Mend HEARTH_HOME") from error
    with lock:
        if not take(lock, LOCK_SECONDS):
            cause = f"another process has been switching for {LOCK_SECONDS:g} s"
            raise ServiceError(SWITCHING, cause, "Look for one that hangs; nothing was changed")
        yield path
