"""Jobs of a knowledge base are begun here: reading, reading again, looking it over, mending."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.knowledge_names import check_new, known_names
from ui.browser.knowledge_uploads import EXAMPLE
from ui.browser.person import person
from ui.browser.strings import say

EXAMPLE_NAME = "example"


def read(kb_name: str, paths: Iterable[Path] = (), urls: Iterable[str] = ()) -> Job:
    """Read files, folders and addresses into it. Raises UsageError when too many jobs run, ServiceError."""
    return _start("add", kb_name, paths=[str(path) for path in paths], urls=list(urls))


def read_again(kb_name: str, sources: Iterable[str] = ()) -> Job:
    """Read these of its documents again, or all. Raises as `read`."""
    return _start("reread", kb_name, sources=list(sources))


def look_over(kb_name: str) -> Job:
    """Look at every text, passage and vector. Raises as `read`."""
    return _start("verify", kb_name)


def mend(kb_name: str) -> Job:
    """Take out what is damaged, and read it again. Raises as `read`."""
    return _start("repair", kb_name)


def go_on(job: Job) -> Job:
    """Ask for the same once more, in place of a job that has ended. Raises as `read`."""
    begun = jobs.start(job.kind, job.title, job.spec, person().id)
    jobs.remove(job)
    return begun


def has_example() -> bool:
    """The example documents are there."""
    return EXAMPLE.is_dir()


def read_example() -> tuple[str, Job]:
    """Read the example into a knowledge base of its own; gives its full name. Raises as `read`."""
    name = person().prefix + EXAMPLE_NAME
    if name not in known_names():
        name = check_new(EXAMPLE_NAME)
    return name, read(name, [EXAMPLE])


def _start(mode: str, kb_name: str, **more: object) -> Job:
    who = person()
    title = say(f"knowledge.title_{mode}", name=who.shown(kb_name))
    return jobs.start("index", title, {"kb": kb_name, "mode": mode, "rebuild": False, **more}, who.id)
