"""Take one document out of an index, as one generation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.manifest import DocumentEntry
from rag.store import unknown_source

if TYPE_CHECKING:
    from rag.store import Store


def forget(store: Store, source: str) -> tuple[DocumentEntry, list[Path]]:
    """Remove a document, and the members of an archive with it.

    Returns what was known of it, and the files of the same bytes that were kept under it and must be read again now.

    Raises:
        UsageError: no document is called so.
        IndexLocked: another process writes the index.
    """
    if not store.refresh() or source not in store.manifest().documents:
        raise unknown_source(source)
    with store.generation(store.manifest().dimension) as writer:
        store.refresh()  # nobody else writes from here on
        known = dict(store.manifest().documents)
        if source not in known:
            raise unknown_source(source)
        entry = known.pop(source)
        members = [name for name, other in known.items() if other.member_of == source]
        for name in (source, *members):
            known.pop(name, None)
            writer.delete_source(name)
        writer.commit(replace(store.manifest(), documents=known))
    store.refresh()
    return entry, [Path(other.path) for other in known.values() if other.duplicate_of == source]
