"""What a person said of an answer, in the feedback store: kept at once, never twice, and found again after a reload.

The store is asked what there is before anything is added, so a rerun, a second tab or a reload adds nothing. An answer
is known by its person, its conversation, what was asked and what was answered. Imports no streamlit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from decoder.types import Message, Sampling
from rag.types import Answer
from ui.exchange import exchange_of

if TYPE_CHECKING:
    from alignment.feedback import Feedback
    from alignment.feedback_events import Event, Exchange

Verdict: TypeAlias = Literal["left", "right", "both", "neither"]
RANKS: dict[Verdict, tuple[int, int]] = {"left": (1, 2), "right": (2, 1), "both": (1, 1), "neither": (1, 1)}
EQUAL_VOTES: dict[Verdict, int] = {"both": 1, "neither": -1}
"""A ranking says which is better and not how good they are, so "both" and "neither" are thumbs on each as well."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it was given to somebody.

    Attributes:
        history: what was said before the question.
        model: what wrote the answer.
        sampling: how its tokens were drawn; None where nobody knows.
        conversation: its id.
        person: whose feedback it is; empty where nobody signs in.
    """

    question: str
    answer: Answer
    history: tuple[Message, ...] = ()
    model: str = ""
    sampling: Sampling | None = None
    conversation: str = ""
    person: str = ""

    @property
    def exchange(self) -> Exchange:
        """As `alignment.feedback` keeps it. What rests on no passage and is no refusal was written, not quoted."""
        written = self.answer.generated or not (self.answer.passages or self.answer.refused)
        return exchange_of(
            self.question,
            replace(self.answer, generated=written),
            self.history,
            model=self.model,
            sampling=self.sampling,
            conversation=self.conversation,
        )

    def answered(self, text: str) -> Given:
        """The same question with another answer."""
        return replace(self, answer=replace(self.answer, text=text))


@dataclass(frozen=True, slots=True)
class Said:
    """What the person has said of one answer; events, or None where they have not."""

    vote: Event | None = None
    edit: Event | None = None
    comment: Event | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """What the person has said of two answers."""

    verdict: Verdict
    event: Event


def said(given: Given) -> Said:
    """What is kept of this answer by this person; of several of a kind the last. Raises FeedbackError."""
    last = {event.kind: event for event in _of_answer(given)}
    return Said(last.get("vote"), last.get("edit"), last.get("comment"))


def keep_vote(given: Given, value: int) -> None:
    """Keep a thumb up (1) or down (-1) in the place of an earlier one; 0 takes it back. Raises FeedbackError."""
    earlier = [event for event in _of_answer(given) if event.kind == "vote"]
    if value and not (earlier and earlier[-1].vote == value):
        _store().vote(given.exchange, value, person=given.person)
    elif value:
        earlier.pop()
    take_back(given, earlier)


def keep_edit(given: Given, better: str) -> None:
    """Keep a better answer in the place of an earlier one. Raises FeedbackError, also where it changes nothing."""
    earlier = [event for event in _of_answer(given) if event.kind == "edit"]
    if earlier and earlier[-1].edit == better:
        earlier.pop()
    else:
        _store().edit(given.exchange, better, person=given.person)
    take_back(given, earlier)


def keep_comment(given: Given, text: str) -> None:
    """Keep words on the answer in the place of earlier ones. Raises FeedbackError, also where there are none."""
    events = _of_answer(given)
    earlier = [event for event in events if event.kind == "comment"]
    if earlier and earlier[-1].comment == text:
        earlier.pop()
    else:
        vote = next((event.id for event in reversed(events) if event.kind == "vote"), "")
        _store().comment(text, given.exchange, target=vote, person=given.person)
    take_back(given, earlier)


def ranked(given: Given, answers: Sequence[str]) -> Ranked | None:
    """What this person found of the two answers. Raises FeedbackError."""
    kept = _rankings(given, answers)
    if not kept:
        return None
    by_answer = dict(zip(kept[-1].responses, kept[-1].ranks, strict=True))
    left, right = (by_answer[text] for text in answers)
    if left != right:
        return Ranked("left" if left < right else "right", kept[-1])
    vote = said(given.answered(answers[0])).vote
    return Ranked("neither" if vote is not None and vote.vote < 0 else "both", kept[-1])


def keep_ranking(given: Given, answers: Sequence[str], verdict: Verdict, comment: str = "") -> None:
    """Keep which of two answers is better, in the place of an earlier word on it. Raises FeedbackError."""
    before = ranked(given, answers)
    if before is not None and before.verdict == verdict and before.event.comment == comment:
        return
    take_back_ranking(given, answers)
    for text in answers if verdict in EQUAL_VOTES else ():
        keep_vote(given.answered(text), EQUAL_VOTES[verdict])
    exchange = replace(given.exchange, response="")
    _store().rank(exchange, answers, RANKS[verdict], person=given.person, comment=comment)


def take_back_ranking(given: Given, answers: Sequence[str]) -> None:
    """Take back what was said of the two answers, with the thumbs that came of it. Raises FeedbackError."""
    before = ranked(given, answers)
    if before is None:
        return
    for text in answers if before.verdict in EQUAL_VOTES else ():
        keep_vote(given.answered(text), 0)
    take_back(given, _rankings(given, answers))


def take_back(given: Given, events: Iterable[Event]) -> None:
    """Take events of this person's back; what is taken back already stays so. Raises FeedbackError."""
    from alignment.errors import FeedbackError

    store = _store()
    for event in events:
        try:
            store.retract(event.id, person=given.person)
        except FeedbackError:
            if event.person != given.person or store.get(event.id)[1] != "retracted":
                raise


def _of_answer(given: Given) -> list[Event]:
    exchange = given.exchange
    return [
        event
        for event, kept in _in_conversation(given)
        if event.kind != "ranking" and (kept.prompt, kept.response) == (exchange.prompt, exchange.response)
    ]


def _rankings(given: Given, answers: Sequence[str]) -> list[Event]:
    prompt = given.exchange.prompt
    return [
        event
        for event, kept in _in_conversation(given)
        if event.kind == "ranking" and set(event.responses) == set(answers) and kept.prompt == prompt
    ]


def _in_conversation(given: Given) -> list[tuple[Event, Exchange]]:
    """This person's events of this conversation; an empty name is no wildcard here, as it is for the store."""
    from alignment.feedback_events import Where

    found = _store().events(Where(person=given.person, conversation=given.conversation))
    pairs = [(event, event.exchange) for event in found if event.exchange and event.person == given.person]
    return [(event, kept) for event, kept in pairs if kept.conversation == given.conversation]


def _store() -> Feedback:
    from alignment.feedback import Feedback

    return Feedback()
