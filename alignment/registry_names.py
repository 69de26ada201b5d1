"""An artefact by what a person would call it: its id, an id's beginning, or its recipe's name for the newest."""

from __future__ import annotations

from alignment.errors import RegistryError
from alignment.recipe import NAME
from alignment.registry_artefact import ID, check_id

STEP = "reading the registry"
SHORTEST = 4
"""Least letters of an id's beginning."""


def find_id(given: str) -> str:
    """The id that is meant: an id itself, there or not; then a recipe's name; then how one id begins.

    Raises:
        RegistryError: nothing is called so, several ids begin so, or it cannot be a name.
    """
    from alignment.registry import list_artefacts

    if ID.fullmatch(given):
        return given
    if not NAME.fullmatch(given):
        return check_id(given)
    known = list_artefacts()
    if named := [each.id for each in known if each.id.rpartition("-")[0] == given]:
        return named[-1]
    begun = [each.id for each in known if each.id.startswith(given)] if len(given) >= SHORTEST else []
    if len(begun) != 1:
        cause = f"{given} begins {', '.join(begun)}" if begun else f"there is no artefact {given}"
        raise RegistryError(STEP, cause, "Give more of the id" if begun else "See `hearth models list`")
    return begun[0]
