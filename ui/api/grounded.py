"""A knowledge base as a chat model: its checked answer, with sources.

What clients stream cannot be taken back, so a stream brings the answer once it has been checked; until then there are
signs of life. A request may ask for the words as they are written (`"hearth": {"unchecked": true}`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from decoder.types import Message, Usage
from rag.knowledge import KnowledgeBase
from rag.types import Answer, AnswerDelta
from ui.api.citations import annotate, evidence, message_text, without_pictures, without_sources
from ui.api.errors import ApiRefusal, bad
from ui.api.gate import ApiLimits
from ui.api.replies import Reply, choice_json
from ui.api.requests import ChatRequest
from ui.api.streams import SECONDS_BETWEEN_SIGNS, Chunk

CHECKED = "\n\nChecked against the documents, this remains:\n\n"
_PIECE = re.compile(r"\s*\S+\s*|\s+")


def conversation(asked: ChatRequest, limits: ApiLimits) -> tuple[str, tuple[Message, ...]]:
    """The question, which is the last message, and the turns before it.

    System messages are left out: what grounds the answer is not the caller's to change. So is what a knowledge base
    cannot do; where leaving it out would change the answer, the request is refused.

    Raises:
        ApiRefusal: there is no question, it is too long, or something is asked for that only a decoder does.
    """
    if asked.tools or asked.constraint is not None:
        raise bad("tools" if asked.tools else "response_format", "a knowledge base answers in text alone")
    if asked.sampling.n != 1 or asked.sampling.logprobs is not None:
        raise bad("n" if asked.sampling.n != 1 else "logprobs", "a knowledge base gives one checked answer")
    *before, last = asked.messages
    if last.role != "user" or not last.text.strip():
        raise bad("messages", "end with a user's question")
    if any(not isinstance(message.content, str) or message.role == "tool" for message in asked.messages):
        raise bad("messages", "a knowledge base reads text of users and assistants alone")
    if len(last.text) > limits.question:
        cause = f"the question is longer than {limits.question} characters"
        raise ApiRefusal(400, cause, "context_length_exceeded", "messages")
    turns = (replace(m, content=without_sources(m.text), tool_calls=(), name=None) for m in before if m.text.strip())
    return last.text, tuple(turn for turn in turns if turn.role in ("user", "assistant"))


async def grounded_reply(base: KnowledgeBase, asked: ChatRequest, reply: Reply, limits: ApiLimits) -> dict[str, Any]:
    """The whole answer, checked."""
    question, history = conversation(asked, limits)
    answer = await base.aask(question, history)
    text = message_text(answer)
    choice = choice_json(0, text, "stop", annotations=annotate(answer))
    usage = await asyncio.to_thread(_usage, base, asked.messages, text)
    return reply.whole([choice], usage, hearth=evidence(answer))


async def grounded_chunks(
    base: KnowledgeBase, asked: ChatRequest, reply: Reply, limits: ApiLimits
) -> AsyncGenerator[Chunk]:
    """The answer in chunks; its annotations and evidence come with the last ones."""
    question, history = conversation(asked, limits)
    live, sign_at, answer = _Live(), 0.0, Answer("")
    async with aclosing(base.astream(question, history)) as parts:
        async for part in parts:
            if isinstance(part, Answer):
                answer = part
            elif asked.unchecked and (text := live.show(part)):
                yield reply.chunk({"role": "assistant", "content": text})
            elif time.monotonic() >= sign_at:
                sign_at = time.monotonic() + SECONDS_BETWEEN_SIGNS
                yield None
    text, offset = live.rest(answer)
    yield reply.chunk({"role": "assistant", "content": ""})
    for piece in _PIECE.findall(text):
        yield reply.chunk({"content": piece})
    if found := annotate(answer, offset):
        yield reply.chunk({"annotations": found})
    yield reply.chunk({}, finish="stop", hearth=evidence(answer))
    if asked.include_usage:
        yield reply.usage(await asyncio.to_thread(_usage, base, asked.messages, live.shown + text))


class _Live:
    """What of an answer has been shown before it was checked, pictures made links as in the checked one."""

    def __init__(self) -> None:
        self.shown = self._held = ""

    def show(self, part: AnswerDelta) -> str:
        text = self._held + part.text
        self._held = "!" if text.endswith("!") else ""
        text = without_pictures(text.removesuffix("!") if self._held else text)
        self.shown += text
        return text

    def rest(self, answer: Answer) -> tuple[str, int]:
        """What is still to be said, and where in the message the checked answer begins."""
        text = message_text(answer)
        if not self.shown:
            return text, 0
        if text.startswith(self.shown):
            return text[len(self.shown) :], 0
        return CHECKED + text, len(self.shown) + len(CHECKED)


def _usage(base: KnowledgeBase, messages: Sequence[Message], text: str) -> Usage:
    """Tokens of the messages and of the answer, as the embedding model counts them."""
    count = base.embedder.count
    return Usage(sum(count(message.text) for message in messages), count(text))
