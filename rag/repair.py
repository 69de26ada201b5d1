"""Mending an index: what is damaged is taken out, and read again from the files where they still are.

A document keeps its name and its labels: what was only for some readers does not become readable by others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.index import IndexProgress, index
from rag.manifest import DocumentEntry, Manifest, unread
from rag.settings import RagSettings
from rag.types import IndexReport
from rag.verify import Problem, verify

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.store import Store


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair found and did.

    Attributes:
        problems: what was wrong.
        lost: documents that left the index, because they cannot be read again; a fetched page has to be fetched.
        report: of reading the others again.
    """

    problems: tuple[Problem, ...] = ()
    lost: tuple[str, ...] = ()
    report: IndexReport = field(default_factory=IndexReport)


def repair(
    store: Store,
    embedder: Embedder,
    on_progress: Callable[[IndexProgress], None] | None = None,
    settings: RagSettings | None = None,
) -> RepairReport:
    """Bring a damaged index back to what its documents' files say.

    Raises:
        IndexNotFound: there is no index.
        StoreFailed: nothing of it can be used; index the documents again.
    """
    problems = [Problem("", what) for what in store.salvage()]
    problems += verify(store)
    manifest = store.manifest()
    bad = _to_read(manifest.documents, {problem.source for problem in problems if problem.source})
    bad |= {source for source, entry in manifest.documents.items() if not entry.hash}
    if not bad and not manifest.pending:
        return RepairReport(tuple(problems))
    files = {source for source in bad if Path(manifest.documents[source].path).is_absolute()}
    if bad:
        _take_out(store, manifest, bad, files)
    report = index([Path(manifest.documents[source].path) for source in files], store, embedder, on_progress, settings)
    store.refresh()
    lost = sorted(source for source in bad if source not in store.manifest().documents)
    return RepairReport(tuple(problems), tuple(lost), report)


def _to_read(documents: Mapping[str, DocumentEntry], damaged: Iterable[str]) -> set[str]:
    """The documents to be read for the damaged ones to be whole: archives for members, originals for duplicates."""
    found = set()
    for source in damaged:
        if source in documents:
            entry = documents[source]
            found.add(entry.member_of or (entry.duplicate_of if entry.duplicate_of in documents else source))
    return found


def _take_out(store: Store, manifest: Manifest, bad: set[str], files: set[str]) -> None:
    """Forget what the index holds of `bad`; those in `files` stay listed, as documents that have never been read."""
    documents = dict(manifest.documents)
    members = {source for source, entry in documents.items() if entry.member_of in bad}
    with store.generation(manifest.dimension) as writer:
        for source in bad | members:
            writer.delete_source(source)
            entry = documents.pop(source)
            if source in files:
                documents[source] = unread(entry)
        writer.commit(replace(manifest, documents=documents))
    store.refresh()
