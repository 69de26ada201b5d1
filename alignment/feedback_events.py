"""What is kept of feedback: who said what of which answer, and how that answer came about. Frozen data, checked here.

An event says everything that training on it needs: the conversation as the model had it, the answer, the model and
the adapter's version, how tokens were drawn, and the passages that were shown.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeAlias

from alignment.errors import FeedbackError
from decoder.types import Message, Sampling, as_messages

Kind: TypeAlias = Literal["vote", "edit", "ranking", "comment", "retraction"]
KINDS: tuple[Kind, ...] = ("vote", "edit", "ranking", "comment", "retraction")
VERSION = 1
"""Of the events' form; a store that holds a newer one is refused."""
STEP = "keeping feedback"
MOST_BYTES = 8 << 20
YEAR_10000 = 253402300800
EXTRACTIVE = "extractive"
"""The model of an answer that was quoted from documents and written by nobody."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage that the model was shown; `label` says where it is from."""

    text: str
    label: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer and what it came from. Make one with `Exchange.of`.

    Attributes:
        prompt: the messages, as OpenAI's protocol writes them.
        response: the answer; empty where several are ranked.
        model, adapter: the model's name, and the version of the adapter on it.
        sampling: what was set of it.
        context: the passages shown, in the order of their numbers.
        conversation: its id, where there is one.
    """

    prompt: tuple[Mapping[str, Any], ...]
    response: str = ""
    model: str = ""
    adapter: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    context: tuple[Shown, ...] = ()
    conversation: str = ""

    @classmethod
    def of(
        cls,
        prompt: str | Sequence[Message],
        response: str = "",
        *,
        model: str = "",
        adapter: str = "",
        sampling: Sampling | None = None,
        context: Sequence[Shown] = (),
        conversation: str = "",
    ) -> Self:
        """From a question or a conversation. Raises UsageError when it is empty."""
        from decoder.wire import message_json

        messages = tuple(message_json(message) for message in as_messages(prompt))
        drawn = {name: value for name, value in asdict(sampling or Sampling()).items() if value not in (None, ())}
        drawn = {} if sampling is None else drawn
        return cls(messages, response, model, adapter, drawn, tuple(context), conversation)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that somebody said, once; never changed afterwards.

    Attributes:
        id: 16 hexadecimal digits.
        person: who said it; empty when nobody is known, and then it counts as somebody else's each time.
        time: seconds since 1970.
        vote: 1 or -1, of a vote.
        edit: a better response than the exchange's, of an edit.
        responses, ranks: of a ranking; 1 is best, ties share a rank.
        comment: of a comment, and of anything else that was said with words.
        target: the event that is commented on or taken back.
    """

    kind: Kind
    exchange: Exchange | None = None
    person: str = ""
    vote: int = 0
    edit: str = ""
    responses: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()
    comment: str = ""
    target: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    time: float = field(default_factory=time.time)
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Where:
    """Which events are meant; what is left empty does not matter.

    Attributes:
        since, until: seconds since 1970, until exclusive.
        min_votes: in exports, the least number of persons behind a row.
    """

    kinds: tuple[Kind, ...] = ()
    model: str = ""
    adapter: str = ""
    person: str = ""
    conversation: str = ""
    since: float | None = None
    until: float | None = None
    min_votes: int = 1


def checked(event: Event) -> Event:
    """The event itself when it can be kept. Raises FeedbackError."""
    reason = _fault(event)
    if reason:
        raise FeedbackError(STEP, reason, "Nothing was kept")
    return event


def _fault(event: Event) -> str:
    exchange = event.exchange
    if not 0 <= event.time < YEAR_10000:
        return f"its time, {event.time!r}, is no number of seconds since 1970"
    if event.kind in ("vote", "edit", "ranking") and (exchange is None or not exchange.prompt):
        return f"the {event.kind} is of no exchange"
    match event.kind:
        case "vote" if event.vote not in (1, -1):
            return f"a vote is 1 or -1, not {event.vote!r}"
        case "edit" if not event.edit.strip():
            return "the edit is empty"
        case "edit" if exchange is not None and event.edit.strip() == exchange.response.strip():
            return "the edit changes nothing"
        case "ranking":
            return _ranking_fault(event)
        case "comment" if not event.comment.strip():
            return "the comment is empty"
    return ""


def _ranking_fault(event: Event) -> str:
    if len(event.responses) < 2 or len(event.responses) != len(event.ranks):
        return f"{len(event.responses)} responses have {len(event.ranks)} ranks"
    if len(set(event.responses)) != len(event.responses):
        return "a response is ranked twice"
    if not all(type(rank) is int and rank >= 1 for rank in event.ranks):
        return "a rank is no whole number from 1"
    return ""


def to_body(event: Event) -> str:
    """What the store keeps beside its columns, as JSON in ASCII. Raises FeedbackError when it is too large."""
    fields = {key: value for key, value in asdict(event).items() if key not in ("id", "time", "kind", "person")}
    try:
        body = json.dumps({key: value for key, value in fields.items() if value not in ("", 0, (), None)})
    except (TypeError, ValueError) as error:
        raise FeedbackError(STEP, f"it holds what is no plain data ({error})", "Nothing was kept") from error
    if len(body) > MOST_BYTES:
        raise FeedbackError(STEP, f"it is larger than {MOST_BYTES >> 20} MiB", "Nothing was kept")
    return body


def from_body(kind: Kind, event_id: str, when: float, person: str, body: str) -> Event:
    """An event as it was kept. Raises ValueError, TypeError or KeyError when that is not what is there."""
    said = json.loads(body)
    if said["version"] > VERSION:
        raise ValueError(f"an event of version {said['version']}")
    exchange = said.pop("exchange", None)
    if exchange is not None:
        context = tuple(Shown(**shown) for shown in exchange.pop("context"))
        exchange = Exchange(**{**exchange, "prompt": tuple(exchange["prompt"]), "context": context})
    for name in ("responses", "ranks"):
        said[name] = tuple(said.get(name, ()))
    return Event(kind, exchange, id=event_id, time=when, person=person, **said)
