"""What one server serves: its models and its kind, and whether it enforces constraints. Each is asked for once.

Knows no messages but the probe's; deadlines are the caller's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from decoder import alias
from decoder import probe as probing
from decoder.errors import DecoderError, MalformedResponse, RequestRefused, UnknownModel
from decoder.presets import Preset, recognise
from decoder.retry import Backoff, Retry
from decoder.transport import Transport
from decoder.types import ConstraintKind
from decoder.wire import completion_from, request_body

STEP = "asking the decoder"
CHAT = "chat/completions"


class Service:
    """A server behind a transport.

    Attributes:
        model, preset: as given, or as found out by `known`; until then "" and None. Where no model was named, `model`
            is looked up again by each `known`: what was promoted in place of the first that the server lists.
        aliased: the model of the last `known` stands in the place of another, `base`.
    """

    def __init__(self, base_url: str, transport: Transport, retry: Retry, model: str, preset: Preset | None) -> None:
        self._base_url, self._transport, self._retry = base_url, transport, retry
        self.model, self.preset = model, preset
        self._asked = model
        self.base = "" if model == alias.DEFAULT else model
        self._verdicts: dict[ConstraintKind, str | None] = {}

    @property
    def aliased(self) -> bool:
        """See the class."""
        return self.model != self.base

    async def known(self, deadline: float) -> Preset:
        """The server's preset, found out with the model's name if need be. Raises DecoderError leaves."""
        if self.preset is None or not self.base:
            async with (await self._transport.here()).once:
                if self.preset is None or not self.base:
                    await self._find_out(deadline)
        assert self.preset is not None  # noqa: S101  # found out, or an error was raised
        follows = not self._asked or (self._asked == alias.DEFAULT and self.base != alias.DEFAULT)
        self.model = alias.resolve(self.base) if follows else self.base
        return self.preset

    def pin(self) -> None:
        """Stay with the model of the last `known`, as if it had been named."""
        self._asked = self.base = self.model

    async def models(self, deadline: float) -> list[Mapping[str, Any]]:
        """The entries of `/v1/models`. Raises DecoderError leaves."""
        answer = await self.ask("GET", "models", None, deadline)
        listed = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
            raise MalformedResponse(STEP, f"{self._base_url}/models is no list of models", "Check the base URL")
        return listed

    async def ask(self, method: str, path: str, body: bytes | None, deadline: float, constrained: bool = False) -> Any:
        """The JSON answered; asked again as the retry budget allows before `deadline` of the loop's clock."""
        backoff: Backoff | None = None
        while True:
            try:
                return await self._transport.ask(method, path, body, constrained=constrained)
            except DecoderError as error:
                backoff = backoff or self.backoff(deadline)
                wait = backoff.wait_after(error)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    def backoff(self, deadline: float) -> Backoff:
        """The retry budget of one request."""
        return Backoff(self._retry, deadline, clock=asyncio.get_running_loop().time)

    async def require_enforced(self, kind: ConstraintKind, deadline: float) -> None:
        """Raises ConstraintIgnored when the server does not enforce constraints of this kind."""
        if kind not in self._verdicts:
            async with (await self._transport.here()).once:
                if kind not in self._verdicts:
                    self._verdicts[kind] = await self._verdict(kind, deadline)
        said = self._verdicts[kind]
        if said is not None:
            raise probing.ignored(kind, said)

    async def _verdict(self, kind: ConstraintKind, deadline: float) -> str | None:
        """None when the probe passed, else what the model said instead."""
        assert self.preset is not None  # noqa: S101  # `known` comes before every request
        probe = probing.probe(kind)
        said = ""
        for sampling in (probing.SAMPLING, probing.THINKING):
            fields = request_body(self.model, probing.PROMPT, sampling, probe.constraint, preset=self.preset)
            answer = await self.ask("POST", CHAT, json.dumps(fields).encode(), deadline, constrained=True)
            choice = completion_from(answer).choices[0]
            if probe.passed_by(choice):
                return None
            said = choice.text or choice.reasoning or ""
            if choice.text or not choice.reasoning:
                break
        return said

    async def _find_out(self, deadline: float) -> None:
        try:
            listed = await self.models(deadline)
        except (RequestRefused, MalformedResponse):
            if not self._asked:
                raise
            listed = []  # some gateways list nothing, and the model's name is known
        self.base = self.base or self._first_of(listed)
        self.preset = self.preset or recognise(self._base_url, listed)

    def _first_of(self, listed: Sequence[Mapping[str, Any]]) -> str:
        """The base model; a server that lists a model called "default", or nothing, is taken at that word."""
        names = [str(item.get("id") or "") for item in listed]
        if self._asked and (not names or self._asked in names):
            return self._asked
        if not names or not names[0]:
            raise UnknownModel(STEP, f"{self._base_url} lists no model", "Load one there, or name it")
        return names[0]
