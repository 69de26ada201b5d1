"""`ServedDecoder`: any OpenAI-compatible server as a `Decoder`, vLLM first.

Knows deadlines, retries and when a constraint must be checked; HTTP is `transport.py`, JSON is `wire.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self, TypeVar

from decoder import alias
from decoder import probe as probing
from decoder.assembly import Assembly
from decoder.base import Decoder, run_sync
from decoder.connections import Endpoint, Verify, environment_proxy, normal_url
from decoder.errors import (
    DecoderError,
    DecoderTimeout,
    MalformedResponse,
    RequestRefused,
    TruncatedStream,
    UnknownModel,
    UsageError,
)
from decoder.presets import Preset
from decoder.presets import preset as preset_named
from decoder.refusals import error_in_stream
from decoder.retry import Retry
from decoder.service import CHAT, STEP, Service
from decoder.settings import DecoderSettings, section
from decoder.sse import DONE
from decoder.timeouts import Timeouts
from decoder.transport import Transport
from decoder.types import Completion, Constraint, Event, Finished, Prompt, Sampling, Tool, as_messages
from decoder.wire import completion_from, message_json, request_body

T = TypeVar("T")
DRAIN_SECONDS = 0.05
_encode = json.JSONEncoder(default=dict, check_circular=False).encode  # schemas may be any Mapping


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that is ready to be sent, and what its answer is held against."""

    body: bytes
    n: int
    constraint: Constraint | None
    checked: bool  # the text must satisfy the constraint when the model ends by itself
    deadline: float  # of the loop's clock
    promoted: tuple[str, str] | None  # (base, model) where the model stands in the base's place


class ServedDecoder(Decoder):
    """A model behind an OpenAI-compatible HTTP server.

    Nothing is asked of the server until the first call. What is not given is then found out from `/v1/models`:
    the preset by who owns the models, and the model as the first of the list; until then `model` may be empty
    and `constraints` too. `ready` asks at once.

    Where no model is named, each request goes to what is promoted at that moment in the place of the first of the
    list (`alias.py`), and `model` is the one that the latest went to. A model that is named is that model, always:
    name the base model to ask it past the promotion.

    Args:
        base_url: such as http://127.0.0.1:8000/v1; empty means the preset's own address.
        model: the model's name there; empty or "default" means the first that it lists, or what is promoted there.
        preset: vllm, ollama, llamacpp, openai or compatible; empty means it is found out.
        api_key: sent as a bearer token; never shown.
        headers: sent with every request.
        verify: True, a file or folder of certificates, an SSLContext, or False for no TLS check.
        proxy: an HTTP proxy's address; None takes the environment's, "" takes none.
        timeouts, retry: how long is waited, and how often tried.
        unverified_constraints: go on even where the server may ignore constraints.
        token_ids: ask for token ids with every answer, not only with logprobs (vLLM).

    Raises:
        UsageError: an argument cannot be used.
    """

    def __init__(
        self,
        base_url: str = "",
        model: str = "",
        *,
        preset: str = "",
        api_key: str = "",
        headers: Mapping[str, str] | None = None,
        verify: Verify = True,
        proxy: str | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        unverified_constraints: bool = False,
        token_ids: bool = False,
    ) -> None:
        named = preset_named(preset) if preset else None
        url = normal_url(base_url or (named.base_url if named else ""))
        all_headers = dict(headers or {})
        if api_key:
            all_headers["Authorization"] = f"Bearer {api_key}"
        self.model, self.base_url = model, url
        self.constraints = named.kinds if named else frozenset()
        self._timeouts = timeouts or Timeouts()
        endpoint = Endpoint(url, all_headers, verify, environment_proxy(url) if proxy is None else proxy)
        self._transport = Transport(endpoint, self._timeouts)
        self._service = Service(url, self._transport, retry or Retry(), model, named)
        self._unverified, self._token_ids = unverified_constraints, token_ids

    @classmethod
    def from_settings(cls, settings: DecoderSettings | None = None) -> Self:
        """The decoder that section `[decoder]` names. Raises UsageError when it names none."""
        chosen = settings or section("decoder", DecoderSettings)
        if not chosen.base_url and not chosen.preset:
            remedy = "Set HEARTH_DECODER_BASE_URL, or start a server with `hearth serve`"
            raise UsageError("choosing a decoder", "no decoder's address is set", remedy)
        timeouts = Timeouts(first_token=chosen.timeout)
        return cls(chosen.base_url, chosen.model, preset=chosen.preset, api_key=chosen.api_key, timeouts=timeouts)

    def __repr__(self) -> str:
        name = self._service.preset.name if self._service.preset else ""
        return f"ServedDecoder(base_url={self.base_url!r}, model={self.model!r}, preset={name!r})"

    # The server

    def ready(self) -> Self:
        """`aready` for code without an event loop."""
        return run_sync(self.aready())

    async def aready(self) -> Self:
        """Find out the preset and the model now. Raises DecoderError leaves."""
        deadline = self._deadline(self._timeouts.first_token)
        await self._by(deadline, self._known(deadline))
        return self

    async def apinned(self) -> Self:
        """`aready`, and the model that it found for every request from then on. Raises DecoderError leaves."""
        await self.aready()
        self._service.pin()
        return self

    async def amodels(self) -> tuple[str, ...]:
        """The names that the server lists. Raises DecoderError leaves."""
        deadline = self._deadline(self._timeouts.first_token)
        listed = await self._by(deadline, self._service.models(deadline))
        return tuple(str(item.get("id", "")) for item in listed)

    async def acontext_length(self) -> int | None:
        """vLLM's max_model_len; None where the server does not tell. Raises DecoderError leaves."""
        deadline = self._deadline(self._timeouts.first_token)
        listed = await self._by(deadline, self._service.models(deadline))
        await self._by(deadline, self._known(deadline))
        known = {item.get("id"): item.get("max_model_len") for item in listed}
        parents = [
            item.get("parent") for item in listed if item.get("id") == self.model
        ]  # an adapter has no own length
        lengths = [known.get(name) for name in (self.model, *parents)]
        return next((length for length in lengths if isinstance(length, int)), None)

    async def acount_tokens(self, prompt: Prompt) -> int:
        """Counted by the server where it can (vLLM's /tokenize), else the base's estimate, which is too high."""
        deadline = self._deadline(self._timeouts.first_token)
        if (await self._by(deadline, self._known(deadline))).tokenize:
            messages = [message_json(message) for message in as_messages(prompt)]
            body = json.dumps({"model": self.model, "messages": messages}).encode()
            address = self.base_url.removesuffix("/v1") + "/tokenize"
            try:
                answer = await self._by(deadline, self._service.ask("POST", address, body, deadline))
                return int(answer["count"])
            except (RequestRefused, MalformedResponse, KeyError, TypeError, ValueError):
                return await super().acount_tokens(prompt)  # a gateway that passes /v1 on and nothing else
        return await super().acount_tokens(prompt)

    async def acounts_exactly(self) -> bool:
        """Whether the server has vLLM's /tokenize."""
        deadline = self._deadline(self._timeouts.first_token)
        return (await self._by(deadline, self._known(deadline))).tokenize

    async def aclose(self) -> None:
        """Close all connections. Idempotent; a later call opens new ones."""
        await self._transport.aclose()

    async def _known(self, deadline: float) -> Preset:
        chosen = await self._service.known(deadline)
        self.model, self.constraints = self._service.model, chosen.kinds
        return chosen

    # Completions

    async def acomplete(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> Completion:
        """The whole completion, in one answer. Raises DecoderError leaves."""
        deadline = self._deadline(self._timeouts.answer)
        try:
            async with asyncio.timeout_at(deadline):
                request = await self._prepare(prompt, sampling, constraint, tools, deadline, stream=False)
                return await self._answer(request)
        except TimeoutError:
            raise _too_late("whole answer", self._timeouts.answer) from None

    async def astream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> AsyncIterator[Event]:
        """Deltas as they come, then `Finished`. Raises DecoderError leaves; tried again before the first delta only."""
        deadline = self._deadline(self._timeouts.first_token)
        try:
            async with asyncio.timeout_at(deadline):
                request = await self._prepare(prompt, sampling, constraint, tools, deadline, stream=True)
        except TimeoutError:
            raise _too_late("first token", self._timeouts.first_token) from None
        backoff = self._service.backoff(deadline)
        while True:
            begun = False
            try:
                async with aclosing(self._one_stream(request)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except DecoderError as error:
                wait = None if begun else backoff.wait_after(error)
                if isinstance(error, UnknownModel) and request.promoted:
                    raise alias.gone(*request.promoted) from error
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _prepare(
        self,
        prompt: Prompt,
        sampling: Sampling | None,
        constraint: Constraint | None,
        tools: Sequence[Tool],
        deadline: float,
        *,
        stream: bool,
    ) -> _Request:
        chosen = await self._known(deadline)
        promoted = (self._service.base, self.model) if self._service.aliased else None
        body = request_body(
            self.model,
            as_messages(prompt),
            sampling,
            constraint,
            tools,
            preset=chosen,
            stream=stream,
            token_ids=self._token_ids,
        )
        if constraint is not None and not self._unverified:
            await self._service.require_enforced(constraint.kind, deadline)
        # A stop string may end the text before the constraint is satisfied, and rightly so.
        checked = constraint is not None and not self._unverified and not (sampling and sampling.stop)
        return _Request(_encode(body).encode(), sampling.n if sampling else 1, constraint, checked, deadline, promoted)

    async def _answer(self, request: _Request) -> Completion:
        constrained = request.constraint is not None
        try:
            answer = await self._service.ask("POST", CHAT, request.body, request.deadline, constrained)
        except UnknownModel as error:
            raise (alias.gone(*request.promoted) if request.promoted else error) from None
        completion = completion_from(answer)
        _hold_against(completion, request)
        return completion

    async def _one_stream(self, request: _Request) -> AsyncGenerator[Event, None]:
        """One attempt at a stream."""
        assembly, limit, done = Assembly(), request.deadline, False
        constrained = request.constraint is not None
        loop = asyncio.get_running_loop()
        async with aclosing(self._transport.events(CHAT, request.body, constrained=constrained)) as batches:
            while not done:
                batch = await self._next(batches, limit, assembly.started)
                if batch is None:
                    break
                for data in batch:
                    if data.strip() == DONE:
                        done = True
                        break
                    for event in assembly.feed(_chunk(data, constrained)):
                        yield event
                if assembly.started:
                    limit = loop.time() + self._timeouts.between_tokens
            if done:
                await _drain(batches)
        completion = assembly.completion()
        if not done and len(completion.choices) < request.n:
            raise TruncatedStream(STEP, "the stream ended before every choice had begun", "Ask again")
        _hold_against(completion, request)
        yield Finished(completion)

    async def _next(self, batches: AsyncIterator[list[str]], limit: float, started: bool) -> list[str] | None:
        try:
            async with asyncio.timeout_at(limit):
                return await anext(batches, None)
        except TimeoutError:
            if started:
                raise _too_late("next token", self._timeouts.between_tokens) from None
            raise _too_late("first token", self._timeouts.first_token) from None

    # Deadlines

    def _deadline(self, seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds

    async def _by(self, deadline: float, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError:
            raise _too_late("answer", self._timeouts.first_token) from None


def _too_late(what: str, seconds: float) -> DecoderTimeout:
    return DecoderTimeout(STEP, f"no {what} within {seconds:g} s", "Look at the server's load, or allow more time")


def _chunk(data: str, constrained: bool) -> object:
    """One event's JSON. Raises MalformedResponse, or what an error inside the stream says."""
    try:
        chunk = json.loads(data)
    except ValueError as error:
        cause = f"an event of the stream is not JSON: {error}"
        raise MalformedResponse(STEP, cause, "Look at the server's log") from None
    if isinstance(chunk, dict) and chunk.get("error"):
        raise error_in_stream(chunk["error"], constrained=constrained)
    return chunk


def _hold_against(completion: Completion, request: _Request) -> None:
    """Raises MalformedResponse for a wrong number of choices, ConstraintIgnored for a text that was not asked for."""
    if len(completion.choices) != request.n:
        cause = f"the server made {len(completion.choices)} of {request.n} choices"
        raise MalformedResponse(STEP, cause, "Ask n times for one choice each, or use vLLM")
    constraint = request.constraint
    if constraint is None or not request.checked:
        return
    for choice in completion.choices:
        if not choice.tool_calls and probing.violates(constraint, choice):
            raise probing.ignored(constraint.kind, choice.text)


async def _drain(batches: AsyncIterator[list[str]]) -> None:
    """Read to the end after [DONE], so that the connection can be used again."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in batches:
                continue
    except (TimeoutError, DecoderError):
        return  # the answer is whole; only the connection is lost
