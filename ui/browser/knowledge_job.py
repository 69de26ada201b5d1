"""The job "index": documents into a knowledge base, read again, looked over or mended. Knows no page.

Spec: kb (full name), paths, urls, rebuild, labels (as fields of `rag.labels.Labels`), and mode:

    add       read files, folders and addresses; what has not changed is left alone
    reread    read the documents `sources` again, all of them when there are none
    verify    look at every text, passage and vector
    repair    take out what is damaged, and read it again
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from decoder.runs.record import read_object
from rag.errors import IndexLocked
from rag.settings import check_index_name
from ui.browser.job_process import Running
from ui.browser.knowledge_pace import Pace
from ui.browser.knowledge_uploads import EXAMPLE, shown_name, uploads_folder
from ui.browser.ownership import check_own

if TYPE_CHECKING:
    from rag.index import IndexProgress
    from rag.knowledge import KnowledgeBase
    from rag.labels import Labels
    from rag.types import IndexReport

STEP = "indexing"
MODES = ("add", "reread", "verify", "repair")
WAITING_SECONDS = 3600.0
"""How long another process that writes the index is waited for."""


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """What the mode says.

    Returns the IndexReport as data (add, reread), or `problems` and, for repair, `lost` and the report's fields.

    Raises:
        UsageError: a path that may not be read, or something unknown is asked for.
        HearthError: what the room raises.
    """
    from rag.knowledge import KnowledgeBase

    mode = spec.get("mode", "add")
    if mode not in MODES:
        raise UsageError(STEP, f"there is no mode {mode!r}", f"Modes: {', '.join(MODES)}")
    name = check_own(check_index_name(spec["kb"]), _person(job), STEP)
    job.tell(now=True, phase="starting", kb=name, failed={})
    with KnowledgeBase(name) as base:
        work = {"add": _add, "reread": _reread, "verify": _verify, "repair": _repair}[mode]
        return _patiently(lambda: work(base, spec, job), job)


def _add(base: KnowledgeBase, spec: Mapping[str, Any], job: Running) -> dict[str, Any]:
    labels, rebuild = _labels(spec), bool(spec.get("rebuild"))
    paths, urls = [Path(path).expanduser() for path in spec.get("paths") or ()], list(spec.get("urls") or ())
    if not paths and not urls:
        raise UsageError(STEP, "there is nothing to read", "Give files, folders or addresses")
    if rebuild and urls:
        raise UsageError(STEP, "a rebuild was asked for with addresses", "Rebuild with files, then add addresses")
    _check_paths(paths, base, _person(job))
    told = _teller(job)
    report = base.add(paths, told, rebuild=rebuild, labels=labels) if paths else None
    if urls:
        fetched = base.add_urls(urls, _with_total(told, len(urls)), labels=labels)
        report = together(report, fetched) if report is not None else fetched
    return dataclasses.asdict(report) if report is not None else {}


def _reread(base: KnowledgeBase, spec: Mapping[str, Any], job: Running) -> dict[str, Any]:
    from rag.reread import reread
    from rag.settings import rag_settings
    from rag.types import IndexReport
    from rag.web import is_url

    sources = list(spec.get("sources") or base.documents())
    files, urls = [s for s in sources if not is_url(s)], [s for s in sources if is_url(s)]
    told = _teller(job)
    report = reread(files, base.store, base.embedder, told, rag_settings()) if files else IndexReport()
    if urls:
        report = together(report, base.add_urls(urls, _with_total(told, len(urls))))
    return dataclasses.asdict(report)


def _verify(base: KnowledgeBase, spec: Mapping[str, Any], job: Running) -> dict[str, Any]:
    job.tell(now=True, phase="verifying")
    return {"problems": [dataclasses.asdict(problem) for problem in base.verify()]}


def _repair(base: KnowledgeBase, spec: Mapping[str, Any], job: Running) -> dict[str, Any]:
    job.tell(now=True, phase="verifying")
    found = base.repair(_teller(job))
    problems = [dataclasses.asdict(problem) for problem in found.problems]
    return {**dataclasses.asdict(found.report), "problems": problems, "lost": found.lost}


def together(one: IndexReport, two: IndexReport) -> IndexReport:
    """Two runs as one."""
    sums = {name: getattr(one, name) + getattr(two, name) for name in _SUMMED}
    return dataclasses.replace(one, **sums, failed={**one.failed, **two.failed})


_SUMMED = ("added", "updated", "removed", "unchanged", "duplicates", "passages", "unsupported", "seconds", "ignored")


def _labels(spec: Mapping[str, Any]) -> Labels | None:
    from rag.labels import Labels

    given = spec.get("labels")
    if not given:
        return None
    return Labels(given.get("tenant", ""), tuple(given.get("readers", ())), given.get("metadata", {}))


def _person(job: Running) -> str:
    return str(read_object(job.folder / "job.json").get("person", ""))


def _check_paths(paths: Sequence[Path], base: KnowledgeBase, person: str) -> None:
    """Raises UsageError for a file that this person may not have read: where people sign in, all but their own."""
    if not person:
        return
    known = {entry.path for entry in base.documents().values()}
    places = (uploads_folder() / base.name, EXAMPLE)
    for path in paths:
        real = Path(os.path.realpath(path))
        inside = any(real.is_relative_to(os.path.realpath(place)) for place in places)
        if not inside and os.path.abspath(path) not in known:  # noqa: PTH100  # as the index has it
            raise UsageError(STEP, f"{path} is not among the uploads of this knowledge base", "Upload the file")


def _patiently(work: Callable[[], dict[str, Any]], job: Running) -> dict[str, Any]:
    """The work once no other process writes the index."""
    deadline = time.monotonic() + WAITING_SECONDS
    while True:
        try:
            return work()
        except IndexLocked:
            if time.monotonic() > deadline:
                raise
            job.tell(now=True, phase="waiting")
            time.sleep(1)


def _teller(job: Running) -> Callable[[IndexProgress], None]:
    """Tells the page where indexing is, how fast it goes, and how long the step will take yet."""
    pace = Pace()

    def tell(at: IndexProgress) -> None:
        moved: dict[str, Any] = {}
        if at.step in ("reading", "embedding"):
            pace.at(at.step, at.done, at.total)
            moved = {"phase": at.step, "done": at.done, "total": at.total, "source": shown_name(at.source)}
            moved |= {"rate": pace.rate, "remaining": pace.remaining}
        elif at.step == "searchable":
            moved = {"searchable": at.done}
        job.tell(now=at.step in ("searchable", "saved"), passages=at.passages, failed=dict(at.failed), **moved)

    return tell


def _with_total(tell: Callable[[IndexProgress], None], total: int) -> Callable[[IndexProgress], None]:
    """Pages come one by one, and only who asked for them knows how many there will be."""
    return lambda at: tell(dataclasses.replace(at, total=total) if at.step == "reading" else at)
