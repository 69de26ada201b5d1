"""Names of knowledge bases: which are one's own, and whether a new one may be called so."""

from __future__ import annotations

from decoder.errors import UsageError
from rag.settings import is_index_name
from ui.browser import jobs
from ui.browser.person import person
from ui.cli import wiring

STEP = "naming a knowledge base"
LONGEST = 64


def own_names() -> list[str]:
    """The full names of one's knowledge bases, sorted. Raises StoreFailed when a server of them does not answer."""
    return person().own(wiring.knowledge_bases())


def known_names() -> list[str]:
    """`own_names`, and those that are being made, or could not be made yet."""
    who = person()
    begun = {str(job.spec.get("kb", "")) for job in jobs.every(who.id, "index")}
    return sorted({*own_names(), *who.own([name for name in begun if is_index_name(name)])})


def check_new(name: str) -> str:
    """The full name of a new knowledge base that its owner calls `name`.

    Raises:
        UsageError: it cannot be a name.
        NameTaken: one of theirs is called so.
    """
    wanted, prefix = name.strip(), person().prefix
    full = prefix + wanted
    if not is_index_name(wanted) or not is_index_name(full):
        remedy = f"Use 1 to {LONGEST - len(prefix)} letters, digits, - or _, beginning with a letter or a digit"
        raise UsageError(STEP, f"{wanted[:100]!r} cannot be a name", remedy)
    if full.casefold() in (known.casefold() for known in known_names()):
        raise NameTaken(STEP, f"there is one called {wanted} already", "Choose another name, or add to that one")
    return full


class NameTaken(UsageError):
    """One of the person's knowledge bases is called so, in capitals or not."""
