"""The documents' texts of an in-process index, by their hash, in one SQLite file.

A text is written once, whoever refers to it, and one transaction holds all texts of a commit: ten thousand small
files cost one sync and not ten thousand. What is read is checked against its hash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from rag.errors import StoreFailed

FILE = "texts.sqlite"
WAIT_SECONDS = 30.0


def connect(index: Path) -> sqlite3.Connection:
    """The index's texts to be written, made when they are not there yet.

    A rollback journal, and nothing spilled before the commit: who only reads needs no file of its own, which a full
    disk would refuse, and waits for a commit alone.
    """
    connection = _open(index, "rwc")
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_spill = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS texts (hash TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID")
    except BaseException:
        connection.close()
        raise
    return connection


def _open(index: Path, mode: str) -> sqlite3.Connection:
    place = f"{(index / FILE).absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(place, uri=True, timeout=WAIT_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def put(connection: sqlite3.Connection, digest: str, text: str) -> None:
    """Keep a text; it is there for others once the connection has committed."""
    body = text.encode("utf-8", "surrogatepass")
    connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (digest, body))


def get(index: Path, digest: str) -> bytes:
    """The bytes under a hash. Raises StoreFailed when there are none, sqlite3.Error when the file is damaged."""
    with closing(_open(index, "rw")) as connection:
        found = connection.execute("SELECT body FROM texts WHERE hash = ?", (digest,)).fetchone()
    if found is None or not isinstance(found[0], bytes):
        raise StoreFailed("opening a document", "its text is missing", "Run `hearth kb repair`")
    return found[0]


def forget_others(connection: sqlite3.Connection, needed: Iterable[str]) -> None:
    """Drop every text whose hash is not in `needed`."""
    with connection:
        connection.execute("CREATE TEMP TABLE needed (hash TEXT PRIMARY KEY)")
        connection.executemany("INSERT OR IGNORE INTO temp.needed VALUES (?)", ((digest,) for digest in needed))
        connection.execute("DELETE FROM texts WHERE hash NOT IN (SELECT hash FROM temp.needed)")
        connection.execute("DROP TABLE temp.needed")
