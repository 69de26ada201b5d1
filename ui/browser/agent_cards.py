"""A run's events as cards: what was thought, done, seen and said, in the order in which it is read. Data alone.

Text in a card is as it came, and nobody vouches for it: whoever shows it makes it safe.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agents import events as e
from agents.calls import as_text
from agents.events import Event
from agents.tool import FINAL_ANSWER
from ui.browser.agent_reason import told

CardKind: TypeAlias = Literal[
    "thought", "action", "asked", "approved", "refused", "observation", "error", "hint", "unusable", "answer", "ended",
    "resumed", "team",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """One thing that happened.

    Attributes:
        step: of the run, from 1; 0 stands before all.
        name: the tool or the agent that it is about, or how the run ended.
        text: a thought, a call's arguments as JSON, what a tool gave, the answer.
        note: a remark beside it: a reason, who said yes.
        omitted: characters that the tool gave and the decoder was not shown.
        untrusted: anyone may have written `text`.
        seconds: how long it took.
        inside: what an agent that was called did.
    """

    kind: CardKind
    step: int
    name: str = ""
    text: str = ""
    note: str = ""
    omitted: int = 0
    untrusted: bool = False
    seconds: float = 0.0
    inside: tuple[Card, ...] = ()


def cards(events: Sequence[Event]) -> list[Card]:
    """The cards of a run, and inside them those of the runs that it called."""
    mode = events[0].mode if events and isinstance(events[0], e.RunStarted) else "constrained"
    made: list[Card | str] = []
    workers: dict[str, list[Event]] = {}
    for event in events:
        if isinstance(event, e.Nested):
            if event.call_id not in workers:
                made.append(event.call_id)  # its place; its events are yet to come
            workers.setdefault(event.call_id, []).append(event.event)
            continue
        made += _made(event, mode)
    return [_team(workers[each], each) if isinstance(each, str) else each for each in made]


def steps_done(events: Iterable[Event]) -> int:
    """The last step that decided something."""
    deciding = (e.Thought, e.Action, e.Truncated, e.Unparsable, e.FinalAnswer)
    return max((event.step for event in events if isinstance(event, deciding)), default=0)


def call_json(arguments: object) -> str:
    """A call's arguments, whole, as they are shown: what is invisible or turns text around is written as \\uXXXX."""
    text = json.dumps(arguments, ensure_ascii=False, indent=2, default=str)
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def _team(events: list[Event], call_id: str) -> Card:
    first = next((event for event in events if isinstance(event, e.RunStarted)), None)
    name, task = (first.agent, first.task) if first is not None else (call_id, "")
    return Card("team", 0, name, task, inside=tuple(cards(events)))


def _made(event: Event, mode: str) -> list[Card]:
    match event:
        case e.Action():
            return _acted(event, mode)
        case e.ApprovalAsked():
            return [Card("asked", event.step, event.call.tool, note=told(event.call.tool, event.effect, event.reason))]
        case e.ApprovalGiven():
            return [Card("approved" if event.approved else "refused", event.step, event.call.tool, note=event.by)]
        case e.Observation():
            return [_observed(event)]
        case e.RunEnded() if not event.result.ok:
            return [Card("ended", event.result.spent.steps, event.result.ended)]
        case _:
            return _said(event)


def _said(event: Event) -> list[Card]:
    """Of what is words and no deed."""
    match event:
        case e.Thought():
            return [Card("thought", event.step, text=event.text)]
        case e.Hint():
            return [Card("hint", event.step, text=event.text)]
        case e.Truncated():
            return [Card("unusable", event.step, text=event.text)]
        case e.Unparsable():
            return [Card("unusable", event.step, text=event.text, note=event.cause)]
        case e.FinalAnswer():
            return [Card("answer", event.step, text=as_text(event.answer))]
        case e.Resumed():
            return [Card("resumed", event.step)]
        case _:
            return []


def _acted(event: e.Action, mode: str) -> list[Card]:
    thought = _thought(event, mode)
    calls = [call for call in event.calls if call.tool != FINAL_ANSWER]
    actions = [Card("action", event.step, call.tool, call_json(call.arguments)) for call in calls]
    return [*([Card("thought", event.step, text=thought)] if thought else []), *actions]


def _observed(event: e.Observation) -> Card:
    return Card(
        "error" if event.error else "observation",
        event.step,
        event.call.tool,
        event.text,
        omitted=event.omitted,
        untrusted=event.untrusted,
        seconds=event.seconds,
    )


def _thought(event: e.Action, mode: str) -> str:
    """What was thought in the same breath as the action, in the modes where both are one text."""
    if mode == "native":
        return event.text.strip()
    if mode != "text":
        return ""
    from agents.textual import Unreadable, read_turn

    try:
        return read_turn(event.text).thought
    except Unreadable:
        return ""
