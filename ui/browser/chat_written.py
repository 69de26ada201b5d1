"""What is asked for a turn, and the parts of its answer as they come: from documents, or from the model alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from decoder import tiny
from decoder.errors import ServiceError, UsageError
from decoder.types import Finished, Message, TextDelta
from rag.types import Answer, AnswerDelta
from ui.browser import chat_prompts, jobs, opened
from ui.browser.chat_types import Turn
from ui.browser.ownership import check_own
from ui.cli.wiring import DecoderChoice

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Event
    from rag.knowledge import KnowledgeBase

JOB_SECONDS = 0.3
LONGEST_READING = 7200.0
"""Seconds that a question waits for its files."""
STEP = "asking"


@dataclass(slots=True)
class Asked:
    """A turn with what it is asked with; `model` becomes known while it is written."""

    turn: Turn
    person: str
    history: Sequence[Message] = ()
    model: str = field(default="")


async def parts(asked: Asked) -> AsyncGenerator[AnswerDelta | Answer]:
    """Text as it is written, then the whole answer, checked where there are documents.

    Raises:
        UsageError: there is nothing to answer with, or the documents could not be read.
        DecoderError: leaves.
    """
    if asked.turn.job:
        await _indexed(asked.turn.job, asked.person)
    if asked.turn.kb:
        check_own(asked.turn.kb, asked.person, STEP)
    decoder = await asyncio.to_thread(_decoder, asked.turn)
    written = _from_documents(asked, decoder) if asked.turn.kb else _from_model(asked, decoder)
    async with aclosing(written) as events:
        async for part in events:
            yield part


def _decoder(turn: Turn) -> Decoder | None:
    if turn.settings.quote:
        return None
    if turn.settings.model == tiny.NAME and opened.decoder() is None:
        return opened.tiny_decoder()
    return opened.decoder(DecoderChoice(model=turn.settings.model))


async def _from_documents(asked: Asked, decoder: Decoder | None) -> AsyncGenerator[AnswerDelta | Answer]:
    settings = asked.turn.settings
    prompt = chat_prompts.chosen(settings.prompt, grounded=True)
    base = await asyncio.to_thread(_base, asked.turn.kb, decoder)
    stream = base.astream(asked.turn.question, asked.history, sampling=settings.sampling(), prompt=prompt)
    async with aclosing(stream) as events:
        async for part in events:
            if decoder is not None and (isinstance(part, AnswerDelta) or part.generated):
                asked.model = decoder.model
            yield part


def _base(name: str, decoder: Decoder | None) -> KnowledgeBase:
    """The shared knowledge base with a decoder of this turn's own."""
    from rag.knowledge import KnowledgeBase

    shared = opened.knowledge_base(name)
    return KnowledgeBase(name, decoder=decoder, embedder=shared.embedder, store=shared.store)


async def _from_model(asked: Asked, decoder: Decoder | None) -> AsyncGenerator[AnswerDelta | Answer]:
    if decoder is None:
        remedy = "Choose a knowledge base to have documents quoted, or start a model: hearth serve"
        raise UsageError(STEP, "there is no model to talk with", remedy)
    settings, written = asked.turn.settings, ""
    prompt = chat_prompts.chosen(settings.prompt, grounded=False)
    messages, sampling = await chat_prompts.fitted(
        asked.turn.question, asked.history, prompt, settings.sampling(), decoder
    )
    events = cast("AsyncGenerator[Event]", decoder.astream(messages, sampling=sampling))
    async with aclosing(events) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                asked.model, written = decoder.model, written + event.text
                yield AnswerDelta(event.text)
            elif isinstance(event, Finished):
                asked.model, written = event.completion.model or decoder.model, event.completion.text
    yield Answer(written, generated=True)


async def _indexed(job_id: str, person: str) -> None:
    """Wait until the attached files are searchable. Raises UsageError, ServiceError when they do not become so."""
    deadline = time.monotonic() + LONGEST_READING
    while (job := await asyncio.to_thread(jobs.find, job_id, person)).going:
        if time.monotonic() > deadline:
            raise ServiceError("reading the attached files", "it takes too long", "Ask again once they are read")
        await asyncio.sleep(JOB_SECONDS)  # it is another process, seen through its files alone
    if job.state == "failed":
        cause = job.error.get("cause") or "reading them failed"
        raise ServiceError("reading the attached files", cause, job.error.get("remedy", ""))
    if job.state != "done":
        remedy = "Try again: what was read already is kept"
        raise ServiceError("reading the attached files", "it was ended before all was read", remedy)
