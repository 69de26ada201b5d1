"""Conversations, kept in one SQLite file: `home()/conversations.sqlite`.

Whatever a call wrote is on the disk when it returns. Every call names a person, and what is another's is not there
for them. A turn is "running" as long as the process that writes it lives; after that it is "interrupted".
"""

from __future__ import annotations

import atexit
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from decoder.errors import UsageError
from decoder.settings import home
from rag.types import Answer
from ui.browser import chat_owner
from ui.browser.chat_json import AnswerDamaged, answer_as_json, answer_from_json
from ui.browser.chat_schema import connect, faults, transaction
from ui.browser.chat_settings import ChatSettings, settings_from
from ui.browser.chat_types import STATES, Conversation, State, Turn

MOST_QUESTION = 16_000
"""Characters of one question."""
LONGEST_TITLE = 80
_CONVERSATION = "id, person, title, kb, settings, created, updated, leaf"
_TURN = (
    "id, conversation, parent, question, text, state, kb, settings, created, ended, answer, model, job, error, owner"
)
_open: dict[Path, Store] = {}
_opening = threading.Lock()


def store() -> Store:
    """The conversations of this home, opened once a process. Raises as `connect`."""
    file = home() / "conversations.sqlite"
    with _opening:
        if file not in _open:
            _open[file] = Store(file)
        return _open[file]


@atexit.register
def _close() -> None:
    for each in _open.values():
        each.close()


class Store:
    """Conversations in `file`; safe to share between threads, and processes may share the file.

    Raises:
        ConversationsNewer, ConversationsDamaged, ServiceError: as every call does when the file cannot be used.
    """

    def __init__(self, file: Path) -> None:
        self.file, self._lock = file, threading.RLock()
        self._owners = file.with_name("conversations.owners")
        self._db = connect(file)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._lock:
            self._db.close()

    # Conversations

    def create(self, person: str, kb: str, settings: ChatSettings, title: str) -> Conversation:
        """A new one, without turns."""
        made = Conversation(secrets.token_hex(8), person, short(title), kb, settings, time.time(), time.time())
        values = (made.id, person, made.title, _folded(made.title), kb, _json(settings.plain()), made.created)
        with self._writing() as db:
            db.execute(
                "INSERT INTO conversations (id, person, title, words, kb, settings, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*map(_kept, values), made.updated),
            )
        return made

    def conversation(self, conversation: str, person: str) -> Conversation:
        """One of this person's. Raises UsageError when there is none."""
        with self._reading() as db:
            return self._own(db, conversation, person)

    def find(self, person: str, words: str = "", limit: int = 50, offset: int = 0) -> list[Conversation]:
        """This person's, the latest first; those alone whose title, questions or answers hold `words`."""
        query = f"SELECT {_CONVERSATION} FROM conversations c WHERE person = ?"  # noqa: S608  # names of ours
        values: list[Any] = [_kept(person)]
        if words.strip():
            wanted = _folded(words.strip())
            query += (
                " AND (instr(words, ?) OR EXISTS"
                " (SELECT 1 FROM turns t WHERE t.conversation = c.id AND instr(t.words, ?)))"
            )
            values += [wanted, wanted]
        with self._reading() as db:
            rows = db.execute(query + " ORDER BY updated DESC, id LIMIT ? OFFSET ?", (*values, limit, offset))
            return [_conversation(row) for row in rows]

    def rename(self, conversation: str, person: str, title: str) -> None:
        """Call it otherwise. Raises UsageError for an empty title, or when there is no such conversation."""
        if not title.strip():
            raise UsageError("renaming a conversation", "the title is empty", "Give it a few words")
        self._change(conversation, person, title=short(title), words=_folded(short(title)))

    def configure(self, conversation: str, person: str, kb: str, settings: ChatSettings) -> None:
        """How its next questions are answered. Raises UsageError when there is no such conversation."""
        self._change(conversation, person, kb=kb, settings=_json(settings.plain()))

    def delete(self, conversation: str, person: str) -> None:
        """Forget it with all its turns. Raises UsageError when there is no such conversation."""
        with self._writing() as db:
            self._own(db, conversation, person)
            db.execute("DELETE FROM conversations WHERE id = ?", (conversation,))

    # Turns

    def begin(
        self,
        conversation: str,
        person: str,
        question: str,
        parent: str,
        kb: str,
        settings: ChatSettings,
        job: str = "",
    ) -> Turn:
        """Keep a question that is now being answered by this process; it becomes the end of the shown branch.

        Raises:
            UsageError: no such conversation or parent, no question, one that is too long, or one answer of this
                conversation is being written already.
        """
        asked, step = question.strip(), "asking"
        if not asked:
            raise UsageError(step, "the question is empty", "Write one")
        if len(asked) > MOST_QUESTION:
            cause = f"the question has {len(asked)} characters"
            raise UsageError(step, cause, f"At most {MOST_QUESTION}; attach longer texts as files")
        turn = secrets.token_hex(8)
        with self._writing() as db:
            self._own(db, conversation, person)
            turns = self._turns(db, conversation)
            if any(each.state == "running" for each in turns):
                raise UsageError(step, "an answer is being written here already", "Wait for it, or stop it")
            if parent and all(each.id != parent for each in turns):
                raise UsageError(step, "the turn before is not there any more", "Ask again")
            values = (turn, conversation, parent, asked, _folded(asked), "running", kb, _json(settings.plain()))
            db.execute(
                "INSERT INTO turns"
                " (id, conversation, parent, question, words, state, kb, settings, created, job, owner)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*map(_kept, values), time.time(), job, chat_owner.own_name(self._owners)),
            )
            db.execute("UPDATE conversations SET leaf = ?, updated = ? WHERE id = ?", (turn, time.time(), conversation))
            return self._one(db, turn)

    def write(self, turn: str, text: str) -> None:
        """Keep what was written of a running turn so far."""
        self.write_all({turn: text})

    def write_all(self, texts: Mapping[str, str]) -> None:
        """Keep what was written of running turns so far, all in one go."""
        rows = [(_kept(text), turn) for turn, text in texts.items()]
        with self._writing() as db:
            db.executemany("UPDATE turns SET text = ? WHERE id = ? AND state = 'running'", rows)

    def end(
        self,
        turn: str,
        state: State,
        text: str,
        answer: Answer | None = None,
        model: str = "",
        error: Mapping[str, str] | None = None,
    ) -> None:
        """Keep how a running turn ended. One that was deleted meanwhile stays so."""
        kept = answer_as_json(answer) if answer is not None else ""
        shown, failed = answer.text if answer is not None else text, _json(dict(error)) if error else ""
        with self._writing() as db:
            row = db.execute("SELECT question, conversation FROM turns WHERE id = ?", (turn,)).fetchone()
            if row is None:
                return
            values = (text, _folded(f"{row[0]}\n{shown}"), state, kept, model, failed)
            db.execute(
                "UPDATE turns SET text = ?, words = ?, state = ?, answer = ?, model = ?, error = ?, ended = ?"
                " WHERE id = ? AND state = 'running'",
                (*map(_kept, values), time.time(), turn),
            )
            db.execute("UPDATE conversations SET updated = ? WHERE id = ?", (time.time(), row[1]))

    def turns(self, conversation: str, person: str) -> list[Turn]:
        """All turns of all branches, as they came. Raises UsageError when there is no such conversation."""
        with self._reading() as db:
            self._own(db, conversation, person)
            return self._turns(db, conversation)

    def turn(self, turn: str, person: str) -> Turn:
        """One turn. Raises UsageError when this person has none of this id."""
        with self._reading() as db:
            found = self._one(db, turn)
            self._own(db, found.conversation, person)
            return found

    def mine(self, turn: str) -> bool:
        """Whether this process began the turn."""
        with self._reading() as db:
            row = db.execute("SELECT owner FROM turns WHERE id = ?", (_kept(turn),)).fetchone()
        return row is not None and row[0] == chat_owner.own_name(self._owners)

    def again(self, turn: Turn) -> Turn:
        """A turn as it is now; as it was when it is gone."""
        with self._reading() as db:
            try:
                return self._one(db, turn.id)
            except UsageError:
                return turn

    def show(self, conversation: str, person: str, leaf: str) -> None:
        """Let the shown branch end with this turn. Raises UsageError when it is not of this conversation."""
        with self._writing() as db:
            self._own(db, conversation, person)
            if self._one(db, leaf).conversation != conversation:
                raise _unknown()
            db.execute("UPDATE conversations SET leaf = ? WHERE id = ?", (leaf, conversation))

    # Within

    def _own(self, db: sqlite3.Connection, conversation: str, person: str) -> Conversation:
        query = f"SELECT {_CONVERSATION} FROM conversations WHERE id = ? AND person = ?"  # noqa: S608
        row = db.execute(query, (_kept(conversation), _kept(person))).fetchone()
        if row is None:
            raise _unknown()
        return _conversation(row)

    def _one(self, db: sqlite3.Connection, turn: str) -> Turn:
        row = db.execute(f"SELECT {_TURN} FROM turns WHERE id = ?", (_kept(turn),)).fetchone()  # noqa: S608
        if row is None:
            raise _unknown()
        return self._turn(row, {})

    def _turns(self, db: sqlite3.Connection, conversation: str) -> list[Turn]:
        query = f"SELECT {_TURN} FROM turns WHERE conversation = ? ORDER BY number"  # noqa: S608
        rows = db.execute(query, (conversation,))
        alive: dict[str, bool] = {}
        return [self._turn(row, alive) for row in rows.fetchall()]

    def _turn(self, row: Sequence[Any], alive: dict[str, bool]) -> Turn:
        """A row as a turn. A running one whose process is gone was interrupted; an answer that is damaged failed."""
        found = dict(zip(_TURN.split(", "), row, strict=True))
        owner, kept, error = found.pop("owner"), found.pop("answer"), found.pop("error")
        settings = settings_from(_read(found.pop("settings")))
        if found["state"] == "running":
            if owner not in alive:
                alive[owner] = chat_owner.lives(self._owners, owner)
            found["state"] = "running" if alive[owner] else "interrupted"
        if found["state"] not in STATES:
            found["state"] = "interrupted"
        failed = {str(name): str(text) for name, text in _read(error).items()}
        answer = None
        try:
            answer = answer_from_json(kept) if kept else None
        except AnswerDamaged as damaged:
            found["state"] = "failed"
            failed = {"step": damaged.step, "cause": damaged.cause, "remedy": damaged.remedy}
        return Turn(settings=settings, answer=answer, error=failed, **found)

    def _change(self, conversation: str, person: str, **values: str) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as db:
            self._own(db, conversation, person)
            db.execute(
                f"UPDATE conversations SET {columns} WHERE id = ?",  # noqa: S608  # names of ours
                (*map(_kept, values.values()), conversation),
            )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, faults(self.file):
            yield self._db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, faults(self.file), transaction(self._db):
            yield self._db


def short(title: str) -> str:
    """A title on one line, cut after a word."""
    line = " ".join(title.split())
    if len(line) <= LONGEST_TITLE:
        return line
    return line[:LONGEST_TITLE].rsplit(" ", 1)[0].rstrip(",.;:") + " …"


def _conversation(row: Sequence[Any]) -> Conversation:
    found = dict(zip(_CONVERSATION.split(", "), row, strict=True))
    return Conversation(settings=settings_from(_read(found.pop("settings"))), **found)


def _unknown() -> UsageError:
    return UsageError("looking for a conversation", "there is no such conversation", "It may have been deleted")


def _folded(text: str) -> str:
    """As it is searched: case does not matter, nor how white space is laid out."""
    return " ".join(text.casefold().split())


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data)


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _kept(value: Any) -> Any:
    """A text as SQLite takes it: lone surrogates, as some parsers leave them, are marked."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
