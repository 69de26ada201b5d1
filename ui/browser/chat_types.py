"""What a conversation is made of. Frozen data; `chat_store.py` keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rag.types import Answer
from ui.browser.chat_settings import ChatSettings

State: TypeAlias = Literal["running", "done", "stopped", "failed", "interrupted"]
STATES: tuple[State, ...] = ("running", "done", "stopped", "failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its turns.

    Attributes:
        person: whose it is; empty where nobody signs in.
        title: for people; text that nobody vouches for.
        kb: the knowledge base that questions are put to, by full name; empty is plain talk with the model.
        created, updated: seconds since 1970.
        leaf: the turn that the shown branch ends with; empty before the first.
    """

    id: str
    person: str
    title: str
    kb: str
    settings: ChatSettings
    created: float
    updated: float
    leaf: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what came of it. Turns form a tree; those with one parent are versions of each other.

    Attributes:
        parent: the turn before; empty for a first one.
        text: what was written, up to now or until it ended.
        answer: the checked answer once it is done.
        kb, settings: of the conversation when it was asked.
        model: what wrote it; empty where it was quoted.
        job: the indexing that the question waits for; empty for none.
        error: step, cause and remedy, when it failed.
    """

    id: str
    conversation: str
    parent: str
    question: str
    text: str
    state: State
    kb: str
    settings: ChatSettings
    created: float
    ended: float = 0.0
    answer: Answer | None = None
    model: str = ""
    job: str = ""
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown_text(self) -> str:
        """The checked answer's text, else what was written."""
        return self.answer.text if self.answer is not None else self.text
