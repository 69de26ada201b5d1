"""Events are appended, read back, forgotten and compacted. Knows the file's rules, not what events are good for.

Forgetting has two steps. A tombstone hides a person's events so far, at once and for every reader. Compaction then
takes them out of the file: the rows in one transaction, the bytes by VACUUM and by cutting the write-ahead log. A
process that dies in between leaves a note in the file, and the next compaction goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from alignment.errors import FeedbackError
from alignment.feedback_events import Event, Where, checked, from_body, to_body
from alignment.feedback_file import WAIT_SECONDS, connected, writing

State: TypeAlias = Literal["live", "retracted", "forgotten"]
COLUMNS = ("id", "time", "kind", "person", "model", "adapter", "conversation", "target", "body")
INSERT = f"INSERT INTO events ({', '.join(COLUMNS)}, digest) VALUES ({', '.join('?' * len(COLUMNS))}, ?)"  # noqa: S608
STATE = """CASE
    WHEN EXISTS (SELECT 1 FROM events t WHERE t.kind = 'tombstone' AND t.person = e.person AND t.person <> ''
        AND t.seq > e.seq) THEN 'forgotten'
    WHEN EXISTS (SELECT 1 FROM events r WHERE r.target = e.id AND r.kind = 'retraction') THEN 'retracted'
    ELSE 'live' END"""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What compaction did: events taken out, and the file's bytes before and after."""

    removed: int
    bytes_before: int
    bytes_after: int


def append(path: Path, event: Event) -> Event:
    """Keep an event; it is on the disk when this returns. Raises FeedbackError."""
    row = _row(checked(event))
    with connected(path, "keeping feedback", create=True) as connection, writing(connection):
        connection.execute(INSERT, row)
    return event


def retract(path: Path, event: Event) -> Event:
    """Keep a retraction, of an event that is live and, where a person is named, that person's own.

    Raises FeedbackError.
    """
    step = "taking feedback back"
    row = _row(checked(event))
    with connected(path, step) as connection, writing(connection):
        found = connection.execute(
            f"SELECT kind, person, {STATE} FROM events e WHERE id = ?",  # noqa: S608
            (_kept(event.target),),
        ).fetchone()
        if found is None or found[0] in ("tombstone", "retraction") or found[2] == "forgotten":
            raise FeedbackError(step, f"there is no event {event.target[:64]}", "See `hearth feedback list`")
        if found[2] == "retracted":
            raise FeedbackError(step, f"{event.target} is taken back already")
        if event.person and _kept(event.person) != found[1]:
            raise FeedbackError(step, f"{event.target} is another person's", "Take back your own")
        connection.execute(INSERT, row)
    return event


def select(
    path: Path, where: Where, states: tuple[State, ...] = ("live",), event_id: str = ""
) -> Iterator[tuple[Event, State]]:
    """Events in the order in which they were kept, with their state; what is forgotten is never among them.

    Nothing where there is no store yet. Raises FeedbackError.

    Args:
        event_id: of the one that is meant.
    """
    if not _begun(path):
        return
    conditions, values = _conditions(where)
    if event_id:
        conditions, values = f"{conditions} AND e.id = ?", [*values, _kept(event_id)]
    query = f"SELECT {', '.join(COLUMNS)}, digest, {STATE} AS state FROM events e WHERE {conditions}"  # noqa: S608
    with connected(path, "reading feedback") as connection:
        for *row, digest, state in connection.execute(f"{query} ORDER BY seq", values):
            if state in states and state != "forgotten":
                yield _event(row, digest), state


def count(path: Path, where: Where) -> dict[tuple[str, State], int]:
    """How many events there are of each kind and state, by the columns alone. Raises FeedbackError."""
    if not _begun(path):
        return {}
    conditions, values = _conditions(where)
    query = f"SELECT kind, {STATE} AS state, COUNT(*) FROM events e WHERE {conditions} GROUP BY 1, 2"  # noqa: S608
    with connected(path, "reading feedback") as connection:
        return {(kind, state): number for kind, state, number in connection.execute(query, values)}


def forget(path: Path, person: str) -> int:
    """Hide everything that `person` has said so far, from now on and for everybody. Returns how many events.

    Raises FeedbackError, also when there is nothing to hide.
    """
    step = "forgetting a person"
    if not person:
        raise FeedbackError(step, "no person is named", "Name one")
    person = _kept(person)
    with connected(path, step) as connection, writing(connection):
        hidden = connection.execute(
            f"SELECT COUNT(*) FROM events e WHERE person = ? AND kind <> 'tombstone' AND {STATE} <> 'forgotten'",  # noqa: S608
            (person,),
        ).fetchone()[0]
        if not hidden:
            raise FeedbackError(step, "there is nothing of that person", "See `hearth feedback stats`")
        row = (secrets.token_hex(8), time.time(), "tombstone", person, "", "", "", "", "{}")
        connection.execute(INSERT, (*row, _digest(row)))
    return int(hidden)


def compact(path: Path) -> Compaction:
    """Take what is forgotten out of the file and its log, physically. Does nothing where nothing is forgotten.

    Safe to end at any moment: either the events are still there and hidden, or they are gone, and what is left to do
    is done by the next compaction.

    Raises FeedbackError, also when readers keep the log from being cut; then what is left to do stays noted.
    """
    step = "compacting the feedback store"
    before = _size(path)
    with connected(path, step) as connection:
        removed = _remove(connection)
        if chores := [name for (name,) in connection.execute("SELECT name FROM chores")]:
            connection.execute("VACUUM")
            _cut_log(connection, step)
            done = ", ".join("?" * len(chores))  # those alone: another process may have noted one since
            connection.execute(f"DELETE FROM chores WHERE name IN ({done})", chores)  # noqa: S608
    return Compaction(removed, before, _size(path))


def pending(path: Path) -> bool:
    """Whether something forgotten is still in the file. Raises FeedbackError."""
    if not _begun(path):
        return False
    with connected(path, "reading feedback") as connection:
        query = "SELECT 1 FROM chores UNION ALL SELECT 1 FROM events WHERE kind = 'tombstone' AND person <> ''"
        return connection.execute(query).fetchone() is not None


def _remove(connection: sqlite3.Connection) -> int:
    """The rows, in one transaction with the note that their bytes have to go."""
    with writing(connection):
        tombstones = connection.execute(
            "SELECT id, time, person FROM events WHERE kind = 'tombstone' AND person <> '' ORDER BY seq"
        ).fetchall()
        if not tombstones:
            return 0
        removed = connection.execute(
            "DELETE FROM events WHERE kind <> 'tombstone' AND EXISTS (SELECT 1 FROM events t "
            "WHERE t.kind = 'tombstone' AND t.person = events.person AND t.person <> '' AND t.seq > events.seq)"
        ).rowcount
        for event_id, when, _ in tombstones:
            row = (event_id, when, "tombstone", "", "", "", "", "", "{}")
            connection.execute("UPDATE events SET person = '', digest = ? WHERE id = ?", (_digest(row), event_id))
        connection.execute("INSERT INTO chores VALUES (?)", (f"vacuum {secrets.token_hex(8)}",))
    return removed


def _cut_log(connection: sqlite3.Connection, step: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            cause = "other processes keep reading, so that the log still holds what was removed"
            raise FeedbackError(step, cause, "Run it again: hearth feedback compact")
        time.sleep(0.05)


def _conditions(where: Where) -> tuple[str, list[Any]]:
    named = {name: getattr(where, name) for name in ("model", "adapter", "person", "conversation")}
    parts, values = ["e.kind <> 'tombstone'"], list[Any]()
    for name, value in named.items():
        if value:
            parts.append(f"e.{name} = ?")
            values.append(_kept(value))
    for sign, moment in ((">=", where.since), ("<", where.until)):
        if moment is not None:
            parts.append(f"e.time {sign} ?")
            values.append(moment)
    if where.kinds:
        parts.append(f"e.kind IN ({', '.join('?' * len(where.kinds))})")
        values.extend(where.kinds)
    return " AND ".join(parts), values


def _row(event: Event) -> tuple[Any, ...]:
    exchange = event.exchange
    facts = (exchange.model, exchange.adapter, exchange.conversation) if exchange else ("", "", "")
    names = [_kept(text) for text in (event.person, *facts, event.target)]
    row = (event.id, event.time, event.kind, *names, to_body(event))
    return (*row, _digest(row))


def _kept(name: str) -> str:
    """A name as a column holds it, so that it is found by what it was kept under; half a surrogate pair is `?`."""
    return name.encode("utf-8", "replace").decode()


def _digest(row: tuple[Any, ...] | list[Any]) -> bytes:
    return hashlib.sha256(json.dumps(list(row)).encode()).digest()[:16]


def _event(row: list[Any], digest: bytes) -> Event:
    event_id, when, kind, person, *_, body = row
    try:
        if _digest(row) != digest:
            raise ValueError("its checksum is another")
        return from_body(kind, event_id, when, person, body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"event {str(event_id)[:64]} is not what was kept ({error})"
        raise FeedbackError("reading feedback", cause, "Put a copy of the store in its place") from error


def _begun(path: Path) -> bool:
    """Whether there is a store; an empty file is one whose first writer has just begun, or died then."""
    return path.exists() and path.stat().st_size > 0


def _size(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return sum(file.stat().st_size for file in (path, log) if file.exists())
