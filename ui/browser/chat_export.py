"""A conversation as a file: Markdown of the shown branch to read, JSON of all branches to work with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from decoder.runs.record import utc
from rag.types import Answer
from ui.browser.chat_json import answer_as_json
from ui.browser.chat_types import Conversation, Turn
from ui.browser.knowledge_uploads import shown_name
from ui.cli import session, transcript


def as_markdown(conversation: Conversation, path: Sequence[Turn]) -> str:
    """The shown branch. Text from documents is quoted, so that it stays text."""
    turns = [session.Turn(turn.kb, turn.question, _shown(turn), turn.model) for turn in path]
    return transcript.as_markdown(turns, conversation.title)


def _shown(turn: Turn) -> Answer:
    """The answer with its documents as people know them, not by where this machine keeps them."""
    if turn.answer is None:
        return Answer(turn.text)
    named = (replace(citation, source=shown_name(citation.source)) for citation in turn.answer.citations)
    return replace(turn.answer, citations=tuple(named))


def as_json(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """All turns, each with the one before it (`parent`), its whole answer and how it was made."""
    data = {
        "title": conversation.title,
        "knowledge_base": conversation.kb,
        "created": utc(conversation.created),
        "updated": utc(conversation.updated),
        "shown": conversation.leaf,
        "settings": conversation.settings.plain(),
        "turns": [_turn(turn) for turn in turns],
    }
    return json.dumps(data, indent=2) + "\n"


def file_name(conversation: Conversation, suffix: str) -> str:
    """A name for the file, made of the title's plain letters."""
    words = re.sub(r"[^a-z0-9]+", "-", conversation.title.lower()).strip("-")[:48]
    return f"{words or 'chat'}{suffix}"


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "parent": turn.parent,
        "asked": utc(turn.created),
        "knowledge_base": turn.kb,
        "question": turn.question,
        "state": turn.state,
        "text": turn.shown_text,
        "model": turn.model,
        "settings": turn.settings.plain(),
        "error": dict(turn.error),
        "answer": None if turn.answer is None else json.loads(answer_as_json(turn.answer)),
    }
