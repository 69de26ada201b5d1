"""The file of conversations: its tables, its version, how it is opened, and what its faults are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decoder.errors import ServiceError, UsageError

STEP = "keeping conversations"
VERSION = 1
BUSY_SECONDS = 10.0
TABLES = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, title TEXT NOT NULL, words TEXT NOT NULL, kb TEXT NOT NULL,
    settings TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, leaf TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX conversations_of ON conversations (person, updated DESC);
CREATE TABLE turns (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent TEXT NOT NULL, question TEXT NOT NULL, text TEXT NOT NULL DEFAULT '', words TEXT NOT NULL,
    state TEXT NOT NULL, kb TEXT NOT NULL, settings TEXT NOT NULL, created REAL NOT NULL,
    ended REAL NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT '',
    job TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX turns_of ON turns (conversation, number);
"""


class ConversationsDamaged(ServiceError):
    """The file of conversations is not what it should be."""


class ConversationsNewer(UsageError):
    """The file of conversations was written by a later version of Hearth."""


def connect(file: Path) -> sqlite3.Connection:
    """Open the file, and make its tables where it is new.

    Every commit is on the disk when it returns; readers and one writer do not wait for each other.

    Raises:
        ConversationsNewer: it is of a later version.
        ConversationsDamaged: it is no such file.
        ServiceError: it cannot be opened.
    """
    with faults(file):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            _made(db, file)
        except BaseException:
            db.close()
            raise
        return db


def _made(db: sqlite3.Connection, file: Path) -> None:
    with transaction(db):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            cause = f"{file} is of version {version}, and this Hearth knows {VERSION}"
            raise ConversationsNewer(STEP, cause, "Use the later Hearth, or set another HEARTH_HOME")
        if version == VERSION:
            return
        if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise sqlite3.DatabaseError("it holds other tables")
        for statement in TABLES.split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing; the write lock is taken at once, so that what is read inside stays true."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # also after a commit that failed, or nothing could be written ever after
            db.execute("ROLLBACK")
        raise


@contextmanager
def faults(file: Path) -> Iterator[None]:
    """SQLite's errors as the house's. Raises ConversationsDamaged, ServiceError."""
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, full, read-only
        remedy = "Try again; free some space, or mend HEARTH_HOME"
        raise ServiceError(STEP, f"{file} cannot be used: {error}", remedy) from error
    except sqlite3.DatabaseError as error:
        remedy = "Put it aside under another name; a new one is made"
        raise ConversationsDamaged(STEP, f"{file} is damaged: {error}", remedy) from error
    except OSError as error:
        raise ServiceError(STEP, f"{file} cannot be used: {error.strerror}", "Mend HEARTH_HOME") from error
