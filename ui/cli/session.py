"""One chat: which knowledge base, which decoder, what was said so far. Prints nothing and reads no keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.types import Message, assistant, user
from ui.cli import wiring

if TYPE_CHECKING:
    from decoder.base import Decoder
    from rag.knowledge import KnowledgeBase
    from rag.types import Answer


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its answer, and the knowledge base that it was put to; `model` is what wrote it, if any did."""

    kb: str
    question: str
    answer: Answer
    model: str = ""


def history_of(turns: Sequence[Turn], kb: str) -> tuple[Message, ...]:
    """The turns with this knowledge base that were answered, as messages."""
    answered = (turn for turn in turns if turn.kb == kb and not turn.answer.refused)
    return tuple(message for turn in answered for message in (user(turn.question), assistant(turn.answer.text)))


@dataclass(slots=True)
class Session:
    """The state of a chat.

    Attributes:
        base, kb: the knowledge base and its name.
        decoder: what writes the answers; None when they are quoted.
        turns: finished turns, oldest first. A stopped answer is none.
        saved: files that this chat wrote, which it may write again.
        id: of this chat, in what is kept of it.
    """

    base: KnowledgeBase
    kb: str
    decoder: Decoder | None = None
    turns: list[Turn] = field(default_factory=list)
    saved: set[Path] = field(default_factory=set)
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def history(self) -> tuple[Message, ...]:
        """What the decoder is to remember: the turns with the present knowledge base that were answered."""
        return history_of(self.turns, self.kb)

    @property
    def last(self) -> Answer | None:
        """The last answer."""
        return self.turns[-1].answer if self.turns else None

    def use_knowledge_base(self, name: str) -> None:
        """Change to another knowledge base; the present one stays when that cannot be opened."""
        base = wiring.open_knowledge_base(name, self.decoder, beside=self.base)
        self.base.close()
        self.base, self.kb = base, name

    def use_decoder(self, decoder: Decoder | None) -> None:
        """Let another decoder write the answers, or none."""
        old = self.decoder
        self.base.decoder = self.decoder = decoder
        if old is not None and old is not decoder:
            old.close()

    def close(self) -> None:
        """Let go of the knowledge base and the decoder."""
        self.base.close()
        if self.decoder is not None:
            self.decoder.close()
