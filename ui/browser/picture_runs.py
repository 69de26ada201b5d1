"""The training runs of the darkroom that a person may see: their own, and for admins those of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import RecipeError, UsageError
from decoder.runs.folder import RunFolder, is_going
from decoder.settings import home
from generators.families import FAMILIES

HOME, HERE = "home", "here"
ENDED = ("finished", "alarm")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class PictureRun:
    """A run as it is now.

    Attributes:
        id: "home:NAME" or "here:NAME"; what pages and jobs call it by.
        name: for people, without the prefix of whose it is.
        status: as run.json has it; "killed" where it says "running" and no process holds it.
    """

    id: str
    name: str
    folder: RunFolder
    state: dict[str, Any]
    status: str

    @property
    def family(self) -> str:
        """One of `generators.families.FAMILIES`."""
        return str(self.state.get("family", ""))

    @property
    def finished(self) -> bool:
        """It has a model to draw from."""
        return self.status in ENDED and self.folder.model.is_dir()

    def grids(self) -> list[tuple[int, Path]]:
        """The sample grids by step, oldest first."""
        found = [(int(file.stem[5:]), file) for file in (self.folder.path / "samples").glob("step-*.png")
                 if file.stem[5:].isdigit()]  # fmt: skip
        return sorted(found)


def runs_home() -> Path:
    """Where runs that a page starts are kept."""
    return home() / "runs"


def every_run(prefix: str = "", admin: bool = True) -> list[PictureRun]:
    """The runs, newest first: those under home()/runs whose names begin with `prefix`, and an admin's working ones."""
    from generators.settings import generator_settings

    places = [(HOME, runs_home(), prefix)]
    here = generator_settings().runs_folder
    if admin and here.absolute() != runs_home().absolute():
        places.append((HERE, here, ""))
    found = [run for kind, place, start in places for run in _runs_in(kind, place, start)]
    return sorted(found, key=lambda run: float(run.state.get("started") or 0), reverse=True)


def find_run(run_id: str, prefix: str = "", admin: bool = True) -> PictureRun:
    """The run of this id. Raises UsageError when there is none, or it is another person's."""
    found = next((run for run in every_run(prefix, admin) if run.id == run_id), None)
    if found is None:
        raise UsageError("looking for a run", "there is no such run", "It may have been moved")
    return found


def run_folder(run_id: str) -> RunFolder:
    """Where the run of an id is, or would be; a page has checked whose it is. Raises UsageError."""
    from generators.settings import generator_settings

    kind, _, name = run_id.partition(":")
    if kind not in (HOME, HERE) or not NAME.fullmatch(name):
        raise UsageError("looking for a run", "there is no such run", "It may have been moved")
    return RunFolder((runs_home() if kind == HOME else generator_settings().runs_folder) / name)


def new_run_id(name: str, prefix: str = "") -> str:
    """The id of a new run; a number is added where the name is taken. Raises UsageError for an impossible name."""
    if not NAME.fullmatch(name) or len(name) > 60:
        raise UsageError("naming a run", f"{name[:80]!r} is no name", "Use letters, digits, '-', '_' and '.'")
    taken = next(f"{name}{more}" for more in ("", *(f"-{n}" for n in range(2, 10_000)))
                 if not (runs_home() / f"{prefix}{name}{more}").exists())  # fmt: skip
    return f"{HOME}:{prefix}{taken}"


def _runs_in(kind: str, place: Path, prefix: str) -> Iterator[PictureRun]:
    try:
        folders = [each for each in place.iterdir() if each.name.startswith(prefix) and NAME.fullmatch(each.name)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in folders:
        folder = RunFolder(path)
        try:
            state = folder.state
        except RecipeError:
            continue  # a damaged run.json is no run of anybody's
        if state.get("family") in FAMILIES:
            yield PictureRun(
                f"{kind}:{path.name}", path.name.removeprefix(prefix), folder, state, _status(folder, state)
            )


def _status(folder: RunFolder, state: dict[str, Any]) -> str:
    status = str(state.get("status", ""))
    return "killed" if status == "running" and not is_going(folder) else status
