"""Whose a knowledge base is, by the beginning of its name. Imports no streamlit, so that jobs can ask, too."""

from __future__ import annotations

import hashlib

from decoder.errors import UsageError

DIGITS = 20
"""Of the hash: nobody finds an identity of their own that begins as another's."""


def prefix_of(person: str) -> str:
    """What the names of a person's knowledge bases begin with; nothing where nobody signs in."""
    return f"u{hashlib.sha256(person.encode('utf-8', 'surrogatepass')).hexdigest()[:DIGITS]}-" if person else ""


def check_own(kb: str, person: str, step: str) -> str:
    """The knowledge base's full name itself. Raises UsageError where it is not this person's."""
    if not kb.startswith(prefix_of(person)):
        raise UsageError(step, "there is no knowledge base of this name", "Choose another")
    return kb
