"""The right to write an index on a Qdrant server: a collection that only one can create, held for a while."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid4, uuid5

from rag.errors import IndexLocked
from rag.store_qdrant_errors import qdrant_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

WRITE = "writing the index"
LEASE_SECONDS = 900.0
RENEW_SECONDS = 60.0
_POINT = str(uuid5(NAMESPACE_URL, "hearth:lease"))


class Lease:
    """The right to write; it runs out, for writers that were killed. `owner` proves it to other processes.

    Raises:
        IndexLocked: another process holds it.
    """

    def __init__(self, client: QdrantClient, name: str) -> None:
        self._client, self._name, self.owner = client, name, str(uuid4())
        self._renewed = 0.0
        with qdrant_errors(WRITE):
            if not self._create() and not (self._expired() and self._create()):
                remedy = f"Wait; the lock of a writer that was killed ends after {LEASE_SECONDS / 60:.0f} minutes"
                raise IndexLocked(WRITE, f"another process is writing {name}", remedy)
            self._write()

    def _create(self) -> bool:
        try:
            return bool(self._client.create_collection(f"{self._name}.lock", vectors_config={}))
        except Exception:
            if self._client.collection_exists(f"{self._name}.lock"):
                return False
            raise

    def _expired(self) -> bool:
        found = self._client.retrieve(f"{self._name}.lock", [_POINT])
        until = (found[0].payload or {}).get("until", 0) if found else time.time() + 1
        return bool(until < time.time() and self._client.delete_collection(f"{self._name}.lock"))

    def _write(self) -> None:
        from qdrant_client import models

        payload = {"owner": self.owner, "until": time.time() + LEASE_SECONDS}
        self._client.upsert(
            f"{self._name}.lock", [models.PointStruct(id=_POINT, vector={}, payload=payload)], wait=True
        )
        self._renewed = time.monotonic()

    def renew(self, now: bool = False) -> None:
        """Hold it for another while; does nothing when that was done less than a minute ago, unless `now`.

        Raises:
            IndexLocked: it ran out and another process took it.
        """
        if now or time.monotonic() - self._renewed > RENEW_SECONDS:
            check_owner(self._client, self._name, self.owner)
            self._write()

    def release(self) -> None:
        """Let go; a server that has gone lets go by time."""
        with suppress(Exception):
            if held_by(self._client, self._name, self.owner):
                self._client.delete_collection(f"{self._name}.lock")


def held_by(client: QdrantClient, name: str, owner: str) -> bool:
    """Whether `owner` still holds the right to write index `name`."""
    try:
        found = client.retrieve(f"{name}.lock", [_POINT])
    except Exception:
        if client.collection_exists(f"{name}.lock"):
            raise
        return False
    return bool(found and (found[0].payload or {}).get("owner") == owner)


def check_owner(client: QdrantClient, name: str, owner: str) -> None:
    """Raises IndexLocked when `owner` no longer holds the right to write index `name`."""
    with qdrant_errors(WRITE):
        if not held_by(client, name, owner):
            raise IndexLocked(WRITE, "the lock ran out and another process took it", "Index again")
