"""When words can be found, as a second reader of a knowledge base sees it while the first one is indexing."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag import KnowledgeBase

POLL_SECONDS = 0.01
QUERY_CHARACTERS = 400


class Watch(threading.Thread):
    """Notes the first moment at which a BM25 search finds something, and the first at which it finds every file.

    Both are moments at which the searches have answered. The reader is an instance of its own. Between two commits a
    poll looks at one file's time and no more; after each commit each file that is new in it is searched for by its
    own first words. All of that is counted as Hearth's time.

    Attributes:
        first, complete: by the monotonic clock; infinity when it has not come.
    """

    def __init__(self, base: KnowledgeBase, folder: Path) -> None:
        super().__init__(daemon=True)
        self._base, self._queries = base, dict(_queries(folder))
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self.first = self.complete = math.inf

    def run(self) -> None:
        """Look until everything was found or `stop` was called."""
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  # raised again by `stop`
            self._failure = error

    def _look(self) -> None:
        from rag import KnowledgeBase

        generation, stopped = "", False
        with KnowledgeBase(self._base.name, embedder=self._base.embedder) as other:
            while self._queries and not stopped:
                stopped = self._stopped.wait(POLL_SECONDS)  # and then a last look
                if other.store.refresh() and (now := other.store.manifest().generation) != generation:
                    generation = now
                    self._search(other)

    def _search(self, other: KnowledgeBase) -> None:
        from rag.filters import Where
        from rag.sparse import sparse_query

        for source, entry in other.documents().items():
            query = self._queries.get(name := Path(entry.path).name, "")
            if query and other.store.search_sparse(sparse_query(query), 1, Where().and_sources([source])):
                self.first = min(self.first, time.monotonic())
                del self._queries[name]
        if not self._queries:
            self.complete = time.monotonic()

    def stop(self) -> None:
        """End it, and raise what went wrong in it."""
        self._stopped.set()
        self.join(60)
        if self._failure is not None:
            raise self._failure


def _queries(folder: Path) -> Iterator[tuple[str, str]]:
    """The first words of each file, in the order in which files are read."""
    for path in sorted(folder.glob("*.txt")):
        yield path.name, path.read_text(encoding="utf-8")[:QUERY_CHARACTERS]
