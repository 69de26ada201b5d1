"""An artefact by what a person would call it: its id, an id's beginning, or its recipe's name for the newest."""

from __future__ import annotations

from alignment.errors import RegistryError
from alignment.registry_artefact import ID, check_id, models_folder
from decoder.runs.recipe import NAME

STEP = "reading the registry"
SHORTEST = 4
"""Least letters of an id's beginning."""


def find_id(given: str) -> str:
    """The id that is meant: an id itself; then a recipe's name, which may look like one; then how one id begins.

    What could be an id, and is none, is given back for whoever looks it up to say so.

    Raises:
        RegistryError: nothing is called so, several ids begin so, or it cannot be a name.
    """
    from alignment.registry import list_artefacts

    shaped = ID.fullmatch(given) is not None
    if shaped and (models_folder() / given).is_dir():
        return given
    if not shaped and not NAME.fullmatch(given):
        return check_id(given)
    known = list_artefacts()
    if named := [each.id for each in known if each.id.rpartition("-")[0] == given]:
        return named[-1]
    if shaped:
        return given
    begun = [each.id for each in known if each.id.startswith(given)] if len(given) >= SHORTEST else []
    if len(begun) != 1:
        cause = f"{given} begins {', '.join(begun)}" if begun else f"there is no artefact {given}"
        raise RegistryError(STEP, cause, "Give more of the id" if begun else "See `hearth models list`")
    return begun[0]
