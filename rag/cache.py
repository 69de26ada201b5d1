"""Vectors by what they are of: a cache on disk that several threads and processes share, and that may vanish.

One SQLite file (WAL) holds them. Losing a vector costs the time to compute it again, and nothing else; so whatever
is wrong with the file ends in a logged remark and never in an error: a damaged one is put away and begun anew, and
where the disk is full or read-only the work goes on without a cache. A value is believed only with its checksum, its
length and the length 1 of its vector. The checksum tells damage, not malice: who may write the file may write the
index too. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

TABLE = (
    "CREATE TABLE vectors (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, sum BLOB NOT NULL)"
)
PAGE = 8192
"""Bytes of a page of the file; five vectors of 384 numbers fit into one, and only two into SQLite's usual 4096."""
BUSY_SECONDS = 10.0
KEYS_AT_ONCE = 500
EVICT = 10
"""One part in so many is evicted when the file is full, so that not every batch has to make room."""
SLACK = 1.25
"""A file so much larger than the limit was made under another limit, and is begun anew: it would never shrink."""
UNIT_TOLERANCE = 1e-3
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})
"""SQLite's codes for a file that is not ours; SQLITE_ERROR is what a table with other columns gives."""


class Damaged(Exception):
    """The file does not hold what was written; seen inside this module only."""


class VectorCache:
    """Unit vectors under keys of 32 bytes. No method raises for what is wrong with the disk or the file.

    Safe between threads (one connection and a lock), between processes (SQLite's locks), after a fork (the child
    opens the file anew) and after SIGKILL (a batch is there whole or not at all).

    Args:
        folder: made when the first vector is kept; readable by its owner alone, for vectors tell of their texts.
        limit: most bytes of the file; the oldest vectors go first.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: Path | None = None
        self._process = 0
        self._off = False
        self._inherited: list[sqlite3.Connection] = []

    def get(self, keys: Sequence[bytes], dimension: int) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are known, float32, shape [dimension], by key."""
        found: dict[bytes, NDArray[np.float32]] = {}
        with self._lock:
            if self._off or (self._connection is None and self._newest() is None):
                return found
            try:
                for start in range(0, len(keys), KEYS_AT_ONCE):
                    found |= self._read(keys[start : start + KEYS_AT_ONCE], dimension)
            except (Damaged, sqlite3.Error, OSError) as error:
                self._give_up(error)
                return {}
        return found

    def put(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors, all of them in one transaction; ones that are known already stay as they are."""
        with self._lock:
            if self._off or not vectors:
                return
            rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
            try:
                self._write([(key, value, _checksum(key, value)) for key, value in rows])
            except (Damaged, sqlite3.Error, OSError) as error:
                self._give_up(error)

    def close(self) -> None:
        """Let go of the file; the next use opens it again. Idempotent."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _read(self, keys: Sequence[bytes], dimension: int) -> dict[bytes, NDArray[np.float32]]:
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, vector, sum FROM vectors WHERE key IN ({marks})"  # noqa: S608  # question marks only
        return {key: _checked(key, value, check, dimension) for key, value, check in self._open().execute(query, keys)}

    def _write(self, rows: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        connection = self._open()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if self._bytes(connection) + sum(len(value) for _, value, _ in rows) > self.limit:
                connection.execute(
                    "DELETE FROM vectors WHERE id <= (SELECT min(id) + (max(id) - min(id)) / ? FROM vectors)", [EVICT]
                )
            connection.executemany("INSERT OR IGNORE INTO vectors (key, vector, sum) VALUES (?, ?, ?)", rows)

    def _bytes(self, connection: sqlite3.Connection) -> int:
        """Bytes in use. What was evicted stays in the file as free pages, which are filled first."""
        [used], [free] = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
        return int(used - free) * PAGE

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._process == os.getpid():
            return self._connection
        if self._connection is not None:
            self._inherited.append(self._connection)  # the parent's: it must not even be collected in this process
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._newest() or self.folder / "vectors-0.sqlite"
        self._process = os.getpid()
        self._connection = connection = sqlite3.connect(
            self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        _prepare(connection)
        if _schema(connection) != [("table", TABLE)]:
            raise Damaged("it has other tables")
        if self._bytes(connection) > SLACK * self.limit:
            raise Damaged("it is larger than the setting allows")
        return connection

    def _newest(self) -> Path | None:
        """The file in use: the one with the highest number."""
        numbered = [path for path in self.folder.glob("vectors-*.sqlite") if _number(path) >= 0]
        return max(numbered, key=_number, default=None)

    def _give_up(self, error: Exception) -> None:
        """After damage begin a new file; after anything else go on without a cache."""
        file = self._file
        with suppress(sqlite3.Error):
            self.close()
        self._connection = None
        code = getattr(error, "sqlite_errorcode", None)
        is_damage = isinstance(error, Damaged) or (code is not None and code & 0xFF in DAMAGED)
        try:
            if is_damage and file is not None:
                self._begin_anew(file)
                log.warning("The cache of embeddings was unusable (%s); it is made anew.", error)
                return
        except (OSError, sqlite3.Error) as again:
            error = again
        self._off = True
        log.warning(
            "The cache of embeddings in %s cannot be used (%s); the work goes on without it.", self.folder, error
        )

    def _begin_anew(self, damaged: Path) -> None:
        # Under a new name, made before the old one goes: a process that still has the old file open deletes its
        # write-ahead log by name when it closes, and must not hit the new file's.
        damaged.with_name(f"vectors-{_number(damaged) + 1}.sqlite").touch(mode=0o600)
        for suffix in ("", "-wal", "-shm"):
            damaged.with_name(damaged.name + suffix).unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection) -> None:
    """The file's modes, and its table where there is none; SQLite does not wait by itself for a change of mode."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            for pragma in (f"page_size = {PAGE}", "journal_mode = WAL", "synchronous = NORMAL", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if not _schema(connection):
                    connection.execute(TABLE)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _number(path: Path) -> int:
    match = re.fullmatch(r"vectors-(\d{1,9})\.sqlite", path.name)
    return int(match[1]) if match else -1


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """What the file declares, but for the index that UNIQUE makes; a trigger or a view would show here."""
    return connection.execute("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=8).digest()


def _checked(key: bytes, value: object, check: object, dimension: int) -> NDArray[np.float32]:
    """The vector in `value`; raises Damaged when it is not one."""
    import numpy as np

    if not isinstance(value, bytes) or len(value) != 4 * dimension or check != _checksum(key, value):
        raise Damaged("a value does not have its checksum")
    vector = np.frombuffer(value, dtype="<f4").astype(np.float32)
    if not abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
        raise Damaged("a vector does not have the length 1")
    return vector
