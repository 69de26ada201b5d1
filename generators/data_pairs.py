"""A second domain that is kept as pictures of its own: paired by name, or a set apart."""

from __future__ import annotations

from collections.abc import Iterable

from generators.data_entries import STEP, Entry, Found
from generators.errors import DataError
from generators.pictures import Skipped


def pair(found: Found, targets: Found, strict: bool) -> tuple[Found, dict[str, Entry]]:
    """The pictures that have a target of their name (with whatever ending), and the target of each by its name.

    Raises:
        DataError: none has; or one of either side has no partner and `strict` is set.
    """
    by_stem, doubles = _by_stem(targets.entries)
    pictures, more = _by_stem(found.entries)
    lone = [
        Skipped(each.name, "it has no target of its name") for stem, each in pictures.items() if stem not in by_stem
    ]
    idle = [Skipped(each.name, "a target of no picture") for stem, each in by_stem.items() if stem not in pictures]
    missed = (*lone, *idle, *more, *doubles)
    if strict and missed:
        cause = f"{missed[0].name}: {missed[0].reason}"
        raise DataError(STEP, cause, "Name both files alike, or leave out strict: true")
    both = {stem: entry for stem, entry in pictures.items() if stem in by_stem}
    if not both:
        cause = f"no picture of {found.source} has a target of its name in {targets.source}"
        raise DataError(STEP, cause, "Name both files alike, or set data.pairing: unpaired")
    kept = Found(tuple(both.values()), (*found.skipped, *targets.skipped, *missed), found.source, found.class_names)
    return kept, {entry.name: by_stem[stem] for stem, entry in both.items()}


def _by_stem(entries: Iterable[Entry]) -> tuple[dict[str, Entry], list[Skipped]]:
    first: dict[str, Entry] = {}
    doubles = []
    for entry in entries:
        if first.setdefault(entry.stem, entry) is not entry:
            doubles.append(Skipped(entry.name, "another picture has the same name but for its ending"))
    return first, doubles
