"""Feedback becomes a data set on disk: which events count, the conversations as they are trained on, the report.

Nothing is left out without being counted: an event is behind a row or has a reason. Who said what does not leave the
store: rows carry conversations and answers alone.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.data_checks import MOST_RESPONSES, check_prompt
from alignment.data_report import BadField
from alignment.errors import FeedbackError
from alignment.feedback_events import Event, Where
from alignment.feedback_rows import FORMATS, Asked, Collected, Row
from alignment.feedback_settling import Ledger
from prompts.errors import PromptError

if TYPE_CHECKING:
    from alignment.feedback_store import State

STEP = "exporting feedback"
REMEDY = "Give more feedback in the chat, choose another format, or widen the filters"


class Unusable(Exception):
    """A conversation that no row can hold; seen inside this module only."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What became of the events.

    Attributes:
        format, path: of the rows, and where they are.
        rows: how many.
        events: votes, edits, rankings and comments that the filters let through; the next two together.
        used: behind a row.
        left_out: behind none, by reason.
        conflicts: "changed" (a person changed their mind), "by_majority" and "undecided" (persons disagreed).
    """

    format: str
    path: str
    rows: int
    events: int
    used: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    conflicts: Mapping[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def export(
    events: Iterable[tuple[Event, State]],
    to: str,
    out: Path,
    where: Where,
    passages: bool = True,
    forgotten: int = 0,
    overwrite: bool = False,
) -> ExportReport:
    """Write the rows of one format, as JSON lines for their owner alone; the file is there whole or not at all.

    Args:
        events: live and retracted ones, in order.
        to: the format.
        passages: put the passages that the model was shown into the prompt, as the grounded-answer prompt does;
            without them, answers that quote or cite would be taught from nothing.
        forgotten: how many were not read because their person is forgotten.

    Raises:
        FeedbackError: no such format, no row came of it (with the reasons), or the file cannot be written.
    """
    if to not in FORMATS:
        raise FeedbackError(STEP, f"there is no format {to!r}", f"Choose one of {', '.join(FORMATS)}")
    if os.path.lexists(out) and not (overwrite and out.is_file()):
        raise FeedbackError(STEP, f"{out} {'is no file' if overwrite else 'exists already'}", "Choose another name")
    ledger = Ledger()
    make = FORMATS[to][1]
    asked = _asked(events, to, passages, ledger)
    rows = list(make(Collected(asked, where.min_votes, ledger)))
    left_out = dict(ledger.left_out) | ({"their person is forgotten": forgotten} if forgotten else {})
    total = len(ledger.fates) + forgotten
    if not rows:
        reasons = "; ".join(f"{number} × {reason}" for reason, number in left_out.items()) or "there is no feedback"
        raise FeedbackError(STEP, f"no row of {to} comes of {total} events ({reasons})", REMEDY)
    _write(rows, out)
    return ExportReport(to, str(out), len(rows), total, ledger.used, left_out, dict(ledger.conflicts))


def _asked(events: Iterable[tuple[Event, State]], to: str, passages: bool, ledger: Ledger) -> list[Asked]:
    found, kinds = [], FORMATS[to][0]
    for event, state in events:
        if state == "retracted":
            ledger.leave([event.id], "it was taken back")
        elif event.kind not in kinds:
            ledger.leave([event.id], f"this format does not use {event.kind}s")
        else:
            try:
                _check_answers(event, to)
                messages = _messages(event, passages)
            except Unusable as reason:
                ledger.leave([event.id], str(reason))
                continue
            ledger.leave([event.id], "no row came of it")
            found.append(Asked(event, messages, json.dumps(messages, sort_keys=True)))
    return found


def _check_answers(event: Event, to: str) -> None:
    """What the stages would refuse: an empty answer (a better one can be imitated all the same). Raises Unusable."""
    answers = event.responses
    if to == "ranking" and len(answers) > MOST_RESPONSES:
        raise Unusable(f"more than {MOST_RESPONSES} answers are ranked")
    if event.exchange is not None and (event.kind == "vote" or (event.kind == "edit" and to != "sft")):
        answers = (event.exchange.response,)
    if not all(answer.strip() for answer in answers):
        raise Unusable("an answer is empty")
    if any("\ud800" <= character <= "\udfff" for text in (*answers, event.edit) for character in text):
        raise Unusable("an answer holds half a surrogate pair, which is no character")


def _messages(event: Event, passages: bool) -> tuple[Mapping[str, Any], ...]:
    """The conversation in roles and texts, as rows have it. Raises Unusable."""
    exchange = event.exchange
    if exchange is None:
        raise Unusable("it is of no exchange")
    for message in exchange.prompt:
        if message.keys() - {"role", "content", "name"} or not isinstance(message.get("content"), str):
            raise Unusable("a turn holds more than text (a picture, a call of a tool)")
    if exchange.prompt[-1]["role"] != "user":
        raise Unusable("the last turn is not the user's")
    try:
        check_prompt([dict(message) for message in exchange.prompt])
    except BadField as error:
        raise Unusable(f"no stage takes the conversation: {error.reason}") from error
    if not exchange.context or not passages:
        return tuple({"role": message["role"], "content": message["content"]} for message in exchange.prompt)
    return _grounded(exchange.prompt, [(shown.text, shown.label) for shown in exchange.context])


def _grounded(prompt: tuple[Mapping[str, Any], ...], shown: list[tuple[str, str]]) -> tuple[Mapping[str, Any], ...]:
    """The conversation with its passages, marked as the knowledge base marks them."""
    from decoder.types import Message
    from prompts.grounded import grounded_answer

    *earlier, last = (Message(message["role"], message["content"]) for message in prompt)
    try:
        made = grounded_answer(last.text, [text for text, _ in shown], [label for _, label in shown], earlier)
    except PromptError as error:
        raise Unusable(f"its passages make no prompt ({type(error).__name__})") from error
    return tuple({"role": message.role, "content": message.text} for message in made)


def _write(rows: Iterable[Row], out: Path) -> None:
    aside = out.parent / f".{out.name[:200]}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(out)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FeedbackError(STEP, f"{out} cannot be written: {error.strerror or error}", "Choose another") from error
