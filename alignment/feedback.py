"""Feedback: votes, edits, rankings and comments, kept for good in one file and turned into data sets.

feedback = Feedback()
feedback.vote(Exchange.of("Why is the sky blue?", "It mirrors the sea.", model="hearth"), -1, person="ann")
feedback.export("kto", "votes.jsonl")

Several processes may write at once. An event is on the disk when the call that keeps it returns.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alignment import feedback_store as store
from alignment.errors import FeedbackError
from alignment.feedback_events import KINDS, Event, Exchange, Where
from alignment.feedback_export import ExportReport, export
from alignment.settings import alignment_settings

SUBJECTS = tuple(kind for kind in KINDS if kind != "retraction")


class Feedback:
    """The feedback store. Opens its file for each piece of work, so that it may be shared by threads and forks.

    Every method raises FeedbackError when the file is another program's, damaged, of a newer version, or cannot be
    written; it is never overwritten.

    Args:
        path: the file, made when something is first kept; by default the settings' `[alignment] feedback`.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path).expanduser() if path else alignment_settings().feedback_file

    def vote(self, exchange: Exchange, value: int, *, person: str = "", comment: str = "") -> Event:
        """A thumb up (1) or down (-1)."""
        return store.append(self.path, Event("vote", exchange, person, vote=value, comment=comment))

    def edit(self, exchange: Exchange, better: str, *, person: str = "", comment: str = "") -> Event:
        """A better response than the exchange's."""
        return store.append(self.path, Event("edit", exchange, person, edit=better, comment=comment))

    def rank(
        self,
        exchange: Exchange,
        responses: Sequence[str],
        ranks: Sequence[int],
        *,
        person: str = "",
        comment: str = "",
    ) -> Event:
        """Several responses to the exchange's prompt; rank 1 is best, ties share a rank."""
        said = Event("ranking", exchange, person, responses=tuple(responses), ranks=tuple(ranks), comment=comment)
        return store.append(self.path, said)

    def comment(self, text: str, exchange: Exchange | None = None, *, target: str = "", person: str = "") -> Event:
        """Words on an exchange or on an event."""
        if target:
            self.get(target)
        return store.append(self.path, Event("comment", exchange, person, comment=text, target=target))

    def retract(self, event_id: str, *, person: str = "") -> Event:
        """Take an event back; it stays in the file and counts no more. With a person, only that person's own."""
        return store.retract(self.path, Event("retraction", person=person, target=event_id))

    def forget(self, person: str) -> int:
        """Hide all that a person has said so far, at once; `compact` then takes it out of the file."""
        return store.forget(self.path, person)

    def compact(self) -> store.Compaction:
        """Take out physically what is forgotten. Safe to be ended at any moment, and to be called again."""
        return store.compact(self.path)

    @property
    def pending(self) -> bool:
        """Whether something forgotten is still in the file."""
        return store.pending(self.path)

    def events(self, where: Where | None = None, *, retracted: bool = False) -> list[Event]:
        """Live events in order, retractions left out unless they are asked for by kind.

        Args:
            retracted: those that were taken back too.
        """
        states: tuple[store.State, ...] = ("live", "retracted") if retracted else ("live",)
        asked = where or Where()
        kinds = asked.kinds or SUBJECTS
        return [event for event, _ in store.select(self.path, asked, states) if event.kind in kinds]

    def get(self, event_id: str) -> tuple[Event, store.State]:
        """An event by its id, and whether it is live or retracted."""
        found = next((pair for pair in store.select(self.path, Where(), ("live", "retracted"), event_id)), None)
        if found is None:
            raise FeedbackError("reading feedback", f"there is no event {event_id[:64]}", "See `hearth feedback list`")
        return found

    def count(self, where: Where | None = None) -> int:
        """Live events, as `events` has them."""
        asked = where or Where()
        kinds = asked.kinds or SUBJECTS
        found = store.count(self.path, asked)
        return sum(number for (kind, state), number in found.items() if state == "live" and kind in kinds)

    def stats(self) -> dict[str, Any]:
        """How many events of each kind, state and model, by how many persons, and whether a compaction is due."""
        live = self.events()
        states = Counter[str]()
        for (kind, state), number in store.count(self.path, Where()).items():
            states[state] += number if kind != "retraction" else 0
        return {
            "path": str(self.path),
            "events": len(live),
            "kinds": dict(Counter(event.kind for event in live)),
            "models": dict(Counter(event.exchange.model for event in live if event.exchange).most_common()),
            "persons": len({event.person for event in live if event.person}),
            "retracted": states["retracted"],
            "forgotten": states["forgotten"],
            "compaction_due": self.pending,
        }

    def export(
        self,
        to: str,
        out: str | Path,
        where: Where | None = None,
        *,
        passages: bool = True,
        overwrite: bool = False,
    ) -> ExportReport:
        """Write a data set: "kto", "dpo", "ranking" or "sft". See `feedback_export.export`."""
        asked, file = where or Where(), Path(out).expanduser()
        if os.path.realpath(file).removesuffix("-wal").removesuffix("-shm") == os.path.realpath(self.path):
            raise FeedbackError("exporting feedback", f"{file} is the feedback itself", "Choose another name")
        found = [
            (event, state)
            for event, state in store.select(self.path, asked, ("live", "retracted"))
            if event.kind != "retraction"
        ]
        hidden = store.count(self.path, asked)
        forgotten = sum(n for (kind, state), n in hidden.items() if state == "forgotten" and kind != "retraction")
        return export(found, to, file, asked, passages, forgotten, overwrite)
