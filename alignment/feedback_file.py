"""The feedback store's file: one SQLite table of events, which SQL itself keeps from being rewritten.

An event can be added. It can go only after its person's tombstone, and a tombstone can lose its person's name and
nothing else, once the person's events are gone. WAL lets several processes read while one writes; synchronous=FULL
puts an event on the disk before its writer hears that it is kept. Knows nothing of what events say.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alignment.errors import FeedbackError

APPLICATION = 0x48464442
VERSION = 1
WAIT_SECONDS = 30.0
STEP = "opening the feedback store"
SCHEMA = {
    "events": """CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    person TEXT NOT NULL,
    model TEXT NOT NULL,
    adapter TEXT NOT NULL,
    conversation TEXT NOT NULL,
    target TEXT NOT NULL,
    body TEXT NOT NULL,
    digest BLOB NOT NULL)""",
    "chores": "CREATE TABLE chores (name TEXT PRIMARY KEY)",
    "events_by_kind": "CREATE INDEX events_by_kind ON events (kind, person)",
    "events_by_target": "CREATE INDEX events_by_target ON events (target)",
    "never_replaced": """CREATE TRIGGER never_replaced BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id OR seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'events are never replaced'); END""",
    "never_deleted": """CREATE TRIGGER never_deleted BEFORE DELETE ON events
    WHEN OLD.kind = 'tombstone' OR OLD.person = '' OR NOT EXISTS (
        SELECT 1 FROM events WHERE kind = 'tombstone' AND person = OLD.person AND seq > OLD.seq)
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END""",
    "never_rewritten": """CREATE TRIGGER never_rewritten BEFORE UPDATE ON events
    WHEN OLD.kind <> 'tombstone' OR OLD.person = '' OR NEW.person <> '' OR NEW.kind <> 'tombstone'
        OR NEW.seq <> OLD.seq OR NEW.id <> OLD.id OR NEW.time <> OLD.time OR NEW.model <> OLD.model
        OR NEW.adapter <> OLD.adapter OR NEW.conversation <> OLD.conversation OR NEW.target <> OLD.target
        OR NEW.body <> OLD.body
        OR EXISTS (SELECT 1 FROM events WHERE person = OLD.person AND kind <> 'tombstone' AND seq < OLD.seq)
    BEGIN SELECT RAISE(ABORT, 'events are never rewritten'); END""",
}
_CAUSES = {
    sqlite3.SQLITE_BUSY: (f"another process has been writing for {WAIT_SECONDS:.0f} s", "Try again"),
    sqlite3.SQLITE_LOCKED: (f"another process has been writing for {WAIT_SECONDS:.0f} s", "Try again"),
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space; what was kept is whole"),
    sqlite3.SQLITE_READONLY: ("it cannot be written", "Check the permissions of the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Check the permissions of the file and its folder"),
    sqlite3.SQLITE_NOTADB: ("it is no feedback store", "Name another file with HEARTH_ALIGNMENT_FEEDBACK"),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "Put a copy in its place; nothing was changed"),
}


@contextmanager
def connected(path: Path, step: str = STEP, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection for one piece of work, in autocommit mode; every error of SQLite becomes a FeedbackError.

    Args:
        create: make the file, for its owner alone, where there is none.

    Raises:
        FeedbackError: the file is another program's, damaged or of a newer version, and stays as it is; or it cannot
            be read or written now.
    """
    connection = None
    try:
        if create:
            _touch(path)
        elif not path.is_file():
            raise FeedbackError(step, f"there is no feedback store at {path}", "Vote in `hearth chat` to begin one")
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None
        )
        _prepare(connection, path, create)
        yield connection
    except sqlite3.Error as error:
        raise _typed(error, path, step) from error
    except OSError as error:
        raise FeedbackError(step, f"{path}: {error.strerror or error}", "Check the folder's permissions") from error
    finally:
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction, on the disk when this ends, and not there at all when anything goes wrong."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _touch(path: Path) -> None:
    """The empty file, readable by its owner alone. One that is there is not opened: that would drop SQLite's locks."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare(connection: sqlite3.Connection, path: Path, create: bool) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    if _is_new(connection):
        if not create:
            raise FeedbackError(STEP, f"{path} holds nothing", "Name another file with HEARTH_ALIGNMENT_FEEDBACK")
        _initialise(connection)
    _check(connection, path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")


def _is_new(connection: sqlite3.Connection) -> bool:
    return (
        _pragma(connection, "application_id") == 0
        and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    )


def _initialise(connection: sqlite3.Connection) -> None:
    """Make the tables, unless another process has made them meanwhile."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:  # the change of mode does not wait by itself
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    with writing(connection):
        if _is_new(connection):
            for statement in SCHEMA.values():
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what this code did not make, before anything of it is changed."""
    if _pragma(connection, "application_id") != APPLICATION:
        remedy = "Name another file with HEARTH_ALIGNMENT_FEEDBACK; nothing was changed"
        raise FeedbackError(STEP, f"{path} is another program's database", remedy)
    if (version := _pragma(connection, "user_version")) != VERSION:
        cause = f"{path} is of version {version}, and this code knows version {VERSION}"
        raise FeedbackError(STEP, cause, "Use a newer Hearth")
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'"))
    if found != SCHEMA:
        raise FeedbackError(STEP, f"{path} has other tables or rules than it was made with", "Put a copy in its place")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _code(error: sqlite3.Error) -> int:
    """The primary code; extended ones carry more in their upper bits."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _typed(error: sqlite3.Error, path: Path, step: str) -> FeedbackError:
    cause, remedy = _CAUSES.get(_code(error), (str(error), "Check the file"))
    return FeedbackError(step, f"{path}: {cause}", remedy)
