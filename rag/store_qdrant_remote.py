"""Writing to a generation on a Qdrant server from another process than the one that began it and will commit it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.settings import RagSettings
from rag.sparse import SparseVector
from rag.store_qdrant import connect
from rag.store_qdrant_lease import check_owner
from rag.store_qdrant_points import Target, put_document_text, put_passages
from rag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RemoteWriter:
    """A connection of this process to the generation `target`.

    Both methods are idempotent, and raise IndexLocked once whoever began the generation no longer holds the right to
    write: a worker that outlived its run must not write into the next one.
    """

    def __init__(self, settings: RagSettings, target: Target) -> None:
        self._client, self._target = connect(settings), target

    def upsert(
        self, passages: Sequence[Passage], dense: NDArray[np.float32] | None, sparse: Sequence[SparseVector]
    ) -> None:
        """Add or replace passages by id. Raises StoreFailed."""
        self._check()
        put_passages(self._client, self._target, passages, dense, sparse)

    def put_text(self, text: str) -> str:
        """Keep a document's text and return the sha256 that names it. Raises StoreFailed."""
        self._check()
        return put_document_text(self._client, self._target, text)

    def _check(self) -> None:
        check_owner(self._client, self._target.name, self._target.owner)
