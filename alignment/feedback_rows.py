"""Events become rows that the stages train on, one function a format. Knows no file.

kto      {"prompt", "completion", "label"}: votes
dpo      {"prompt", "chosen", "rejected"}: edits beat what they edited; rankings; votes up and down on one prompt
ranking  {"prompt", "responses", "ranks"}: rankings of K; an edit ranks two
sft      {"messages"}: answers voted up, and edits
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from alignment.feedback_events import Event
from alignment.feedback_settling import Ledger, Settled, Statement, settle

Format: TypeAlias = Literal["kto", "dpo", "ranking", "sft"]
Row: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[str, frozenset[str]]
EQUAL, NO_OTHER = "all its ranks are equal", "no answer to the same prompt was voted the other way"
DIRECT, DOWN = "an edit or a ranking says it directly", "the answer was voted down"


@dataclass(frozen=True, slots=True)
class Asked:
    """An event with its conversation as it will be trained on; `key` is the same for the same conversation."""

    event: Event
    messages: tuple[Mapping[str, Any], ...]
    key: str

    @property
    def response(self) -> str:
        """What was answered."""
        return self.event.exchange.response if self.event.exchange else ""


@dataclass(slots=True)
class Collected:
    """What one export has to work with."""

    asked: Sequence[Asked]
    least: int
    ledger: Ledger
    prompts: dict[str, tuple[Mapping[str, Any], ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.prompts = {asked.key: asked.messages for asked in self.asked}
        self.asked = _without_earlier_edits(self.asked, self.ledger)

    def of(self, kind: str) -> list[Asked]:
        """Events of one kind, in order."""
        return [asked for asked in self.asked if asked.event.kind == kind]

    def prompt(self, key: str) -> list[Mapping[str, Any]]:
        """A conversation, for a row of its own."""
        return [dict(message) for message in self.prompts[key]]


def kto(found: Collected) -> Iterator[Row]:
    """Thumbs."""
    for (key, response), vote in _votes(found).items():
        found.ledger.use(vote.events)
        yield {"prompt": found.prompt(key), "completion": _turn(response), "label": vote.value > 0}


def sft(found: Collected) -> Iterator[Row]:
    """What is worth imitating, each text once for a conversation."""
    votes, behind = _votes(found), defaultdict[tuple[str, str], list[str]](list)
    for place, vote in votes.items():
        if vote.value > 0:
            behind[place].extend(vote.events)
        else:
            found.ledger.leave(vote.events, DOWN)
    for place, events in _edits(found).items():
        if place in votes and votes[place].value < 0:
            found.ledger.leave(events, DOWN)
        else:
            behind[place].extend(events)
    for (key, text), backers in behind.items():
        found.ledger.use(backers)
        yield {"messages": [*found.prompt(key), *_turn(text)]}


def dpo(found: Collected) -> Iterator[Row]:
    """Pairs of a better and a worse answer to one conversation."""
    said = _preferences(found)
    for (key, texts), better in _settle_all(said, found).items():
        (worse,) = texts - {better.value}
        found.ledger.use(better.events)
        yield _pair(found, key, better.value, worse)
    yield from _opposite_votes(found, said.keys())


def _opposite_votes(found: Collected, said: KeysView[Pair]) -> Iterator[Row]:
    """Answers voted up against answers voted down, where nothing was said of the two directly."""
    by_prompt: dict[str, tuple[list[tuple[str, Settled[int]]], ...]] = {}
    for (key, response), vote in _votes(found).items():
        by_prompt.setdefault(key, ([], []))[vote.value < 0].append((response, vote))
    for key, (up, down) in by_prompt.items():
        for (better_text, one), (worse_text, other) in itertools.product(up, down):
            if (key, frozenset((better_text, worse_text))) in said:
                found.ledger.leave((*one.events, *other.events), DIRECT)
                continue
            found.ledger.use((*one.events, *other.events))
            yield _pair(found, key, better_text, worse_text)
        if not up or not down:
            found.ledger.leave([event for _, vote in (*up, *down) for event in vote.events], NO_OTHER)


def ranking(found: Collected) -> Iterator[Row]:
    """Several answers in order."""
    said = defaultdict[Pair, list[Statement[tuple[tuple[str, int], ...]]]](list)
    for asked in found.asked:
        ranks = _ranks(asked)
        if len(set(ranks.values())) == 1:
            found.ledger.leave([asked.event.id], EQUAL)
        elif ranks:
            value = tuple(sorted(ranks.items()))
            said[asked.key, frozenset(ranks)].append(Statement(asked.event.id, asked.event.person, value))
    for (key, _), settled in _settle_all(said, found).items():
        found.ledger.use(settled.events)
        best_first = sorted(settled.value, key=lambda item: (item[1], item[0]))
        responses, ranks_of = [text for text, _ in best_first], [rank for _, rank in best_first]
        yield {"prompt": found.prompt(key), "responses": responses, "ranks": ranks_of}


FORMATS: dict[str, tuple[tuple[str, ...], Callable[[Collected], Iterator[Row]]]] = {
    "kto": (("vote",), kto),
    "dpo": (("vote", "edit", "ranking"), dpo),
    "ranking": (("edit", "ranking"), ranking),
    "sft": (("vote", "edit"), sft),
}
"""Of each format, the kinds of event that it uses, and what makes its rows."""


def _votes(found: Collected) -> dict[tuple[str, str], Settled[int]]:
    """Answers on which the votes are settled."""
    said = defaultdict[tuple[str, str], list[Statement[int]]](list)
    for asked in found.of("vote"):
        said[asked.key, asked.response].append(Statement(asked.event.id, asked.event.person, asked.event.vote))
    return _settle_all(said, found)


def _edits(found: Collected) -> dict[tuple[str, str], tuple[str, ...]]:
    """Edited texts that enough persons wrote, with the events behind each."""
    said = defaultdict[tuple[str, str], list[Statement[str]]](list)
    for asked in found.of("edit"):
        said[asked.key, asked.event.edit].append(Statement(asked.event.id, asked.event.person, asked.event.edit))
    return {place: settled.events for place, settled in _settle_all(said, found).items()}


def _without_earlier_edits(everything: Sequence[Asked], ledger: Ledger) -> list[Asked]:
    """Of a person's edits of one answer the last counts; they are different texts, which no vote would settle."""
    said = defaultdict[tuple[str, str, str], list[Statement[str]]](list)
    for asked in everything:
        if asked.event.kind == "edit":
            statement = Statement(asked.event.id, asked.event.person, asked.event.edit)
            said[asked.key, asked.response, statement.voter].append(statement)
    settled = [settle(statements, 1, ledger) for statements in said.values()]
    kept = {event for edit in settled if edit is not None for event in edit.events}
    return [asked for asked in everything if asked.event.kind != "edit" or asked.event.id in kept]


def _preferences(found: Collected) -> dict[Pair, list[Statement[str]]]:
    """What edits and rankings say of each two answers: which is better."""
    said = defaultdict[Pair, list[Statement[str]]](list)
    for asked in found.asked:
        ranks = _ranks(asked)
        if ranks and len(set(ranks.values())) == 1:
            found.ledger.leave([asked.event.id], EQUAL)
        for one, other in itertools.combinations(ranks, 2):
            if ranks[one] != ranks[other]:
                better = min(one, other, key=ranks.__getitem__)
                statement = Statement(asked.event.id, asked.event.person, better)
                said[asked.key, frozenset((one, other))].append(statement)
    return said


def _ranks(asked: Asked) -> dict[str, int]:
    """Answers and their ranks, without gaps; an edit is above what it edits; empty for other events."""
    event = asked.event
    if event.kind == "edit":
        return {event.edit: 1, asked.response: 2}
    dense = {rank: place for place, rank in enumerate(sorted(set(event.ranks)), 1)}
    return {text: dense[rank] for text, rank in zip(event.responses, event.ranks, strict=True)}


def _settle_all(said: Mapping[Any, Sequence[Statement[Any]]], found: Collected) -> dict[Any, Settled[Any]]:
    settled = {place: settle(statements, found.least, found.ledger) for place, statements in said.items()}
    return {place: value for place, value in settled.items() if value is not None}


def _pair(found: Collected, key: str, better: str, worse: str) -> Row:
    return {"prompt": found.prompt(key), "chosen": _turn(better), "rejected": _turn(worse)}


def _turn(text: str) -> list[Mapping[str, Any]]:
    return [{"role": "assistant", "content": text}]
