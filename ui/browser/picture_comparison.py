"""A comparison kept as data beside its report, so that a page shows it without loading what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.runs.folder import RunFolder
from decoder.runs.record import read_object, write_whole
from ui.browser.picture_runs import HOME, runs_home

FILE = "comparison.json"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison.

    Attributes:
        id: as a run's; name: for people.
        about: what was compared, as names and values.
        tables: {title, head, rows} of texts, figures with their intervals.
        curves: by figure, by recipe: [CPU seconds, value] pairs.
        grids: {title, file}: the last sample grid of each run.
        path: its folder, with report.html.
    """

    id: str
    name: str
    path: Path
    about: Sequence[Sequence[str]]
    tables: Sequence[Mapping[str, Any]]
    curves: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
    grids: Sequence[Mapping[str, str]]

    @property
    def report(self) -> bytes:
        """report.html, which stands alone; empty where it is gone."""
        try:
            return (self.path / "report.html").read_bytes()
        except OSError:
            return b""


def keep_comparison(folders: Sequence[RunFolder], output: Path) -> None:
    """Write comparison.json beside the report of these runs. Raises CheckpointFailed."""
    from generators.compare_report import about, grid_of, quality_curves, tables
    from generators.compare_runs import entry_of
    from generators.compare_table import rows

    entries = [entry_of(folder) for folder in folders]
    kept = {
        "about": about(entries),
        "tables": [{"title": head[0], "head": ["", *head[1:]], "rows": lines} for head, lines in tables(rows(entries))],
        "curves": {title: curves for title, _, curves in quality_curves(entries)},
        "grids": [
            {"title": f"{entry.recipe.name}, seed {entry.recipe.seed}", "file": str(file.resolve())}
            for entry in entries
            if (file := grid_of(entry)) is not None
        ],
    }
    write_whole(output / FILE, json.dumps(kept), "keeping the comparison")


def every_comparison(prefix: str = "") -> list[Comparison]:
    """The finished comparisons of whose names begin with `prefix`, newest first."""
    found = sorted(
        (file for file in runs_home().glob(f"*/{FILE}") if file.parent.name.startswith(prefix)),
        key=lambda file: file.stat().st_mtime,
        reverse=True,
    )
    return [_read(file, prefix) for file in found if read_object(file)]


def _read(file: Path, prefix: str) -> Comparison:
    kept, name = read_object(file), file.parent.name
    return Comparison(
        f"{HOME}:{name}",
        name.removeprefix(prefix),
        file.parent,
        kept.get("about") or (),
        kept.get("tables") or (),
        kept.get("curves") or {},
        kept.get("grids") or (),
    )
