"""`POST /v1/chat/completions`: who answers, whole or in a stream; and the decoder's own words, passed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from decoder.types import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta
from rag.knowledge import KnowledgeBase
from ui.api.body import read_object
from ui.api.gate import ApiLimits
from ui.api.grounded import grounded_chunks, grounded_reply
from ui.api.keys import Caller
from ui.api.models import Models
from ui.api.replies import Reply, completion_choices, logprobs_json
from ui.api.requests import ChatRequest, read_chat
from ui.api.streams import Chunk, EventStream, unless_gone

if TYPE_CHECKING:
    from decoder.base import Decoder


async def chat_completions(request: Request) -> Response:
    """Answer by a knowledge base or the decoder, whole or in a stream; raises what `ui.api.errors` describes."""
    models: Models = request.app.state.models
    limits: ApiLimits = request.app.state.limits
    caller: Caller = request.state.caller
    asked = read_chat(await read_object(request, limits))
    found = models.find(asked.model, caller.access)
    reply = Reply(asked.model)
    if not asked.stream:
        if isinstance(found, KnowledgeBase):
            work = grounded_reply(found, asked, reply, limits)
        else:
            work = decoder_reply(found, asked, reply)
        return JSONResponse(await unless_gone(request.receive, work, limits.seconds))
    if isinstance(found, KnowledgeBase):
        chunks = grounded_chunks(found, asked, reply, limits)
    else:
        chunks = decoder_chunks(found, asked, reply)
    first = await unless_gone(request.receive, _first(chunks), limits.seconds)
    return EventStream(first, chunks, limits.seconds)


async def decoder_reply(decoder: Decoder, asked: ChatRequest, reply: Reply) -> dict[str, Any]:
    """The decoder's whole completion."""
    completion = await decoder.acomplete(
        asked.messages, sampling=asked.sampling, constraint=asked.constraint, tools=asked.tools
    )
    return reply.whole(completion_choices(completion), completion.usage)


async def decoder_chunks(decoder: Decoder, asked: ChatRequest, reply: Reply) -> AsyncGenerator[Chunk]:
    """The decoder's events as they come."""
    events = decoder.astream(asked.messages, sampling=asked.sampling, constraint=asked.constraint, tools=asked.tools)
    begun: set[int] = set()
    async with aclosing(cast("AsyncGenerator[Event]", events)) as stream:
        async for event in stream:
            if isinstance(event, Finished):
                for choice in event.completion.choices:
                    yield reply.chunk({}, choice.index, choice.finish_reason)
                if asked.include_usage:
                    yield reply.usage(event.completion.usage)
                return
            if event.index not in begun:
                begun.add(event.index)
                yield reply.chunk({"role": "assistant", "content": ""}, event.index)
            yield _chunk(event, reply)


def _chunk(event: TextDelta | ReasoningDelta | ToolCallDelta, reply: Reply) -> dict[str, Any]:
    if isinstance(event, TextDelta):
        return reply.chunk({"content": event.text}, event.index, logprobs=logprobs_json(event.logprobs))
    if isinstance(event, ReasoningDelta):
        return reply.chunk({"reasoning_content": event.text}, event.index)
    call: dict[str, Any] = {"index": event.position, "function": {"arguments": event.arguments}}
    if event.id:
        call |= {"id": event.id, "type": "function"}
    if event.name:
        call["function"]["name"] = event.name
    return reply.chunk({"tool_calls": [call]}, event.index)


async def _first(chunks: AsyncGenerator[Chunk]) -> Chunk:
    return await anext(chunks)
