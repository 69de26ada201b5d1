"""`RecordedDecoder`: asks a real decoder once, and answers from the file ever after.

The file has one JSON object a line: what was asked, its hash, and the answer. It holds the conversation, the sampling,
the constraint and the tools; never addresses, headers or keys, which do not pass through here.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from decoder.base import Decoder
from decoder.errors import ConstraintRefused, UsageError
from decoder.scripted import events_of
from decoder.types import (
    Choice,
    Completion,
    Constraint,
    Event,
    Prompt,
    Sampling,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
    as_messages,
)

Question: TypeAlias = Literal["complete", "count_tokens", "context_length"]
STEP = "replaying a recording"


class RecordingMissing(UsageError):
    """The recording holds no answer to this request."""


class RecordingDamaged(UsageError):
    """A line of the recording is not what was written there."""


class RecordedDecoder(Decoder):
    """Replays answers by request hash; those that are missing are asked of `decoder` and added, when it is given.

    The same request always gets the same answer, whatever its temperature. Token counts and the context length
    are recorded too, because programs ask other questions when those differ.

    Args:
        path: the JSONL file; it must exist unless a decoder is given.
        decoder: records from this one. Errors are not recorded. It is closed with this decoder.

    Raises:
        RecordingMissing: there is no file, or (when asked) no such request in it.
        RecordingDamaged: a line cannot be read.
    """

    def __init__(self, path: str | Path, decoder: Decoder | None = None) -> None:
        self.path, self._decoder = Path(path), decoder
        self._answers: dict[str, Any] = {}
        self._lock = threading.Lock()
        if self.path.exists():
            self._load()
        elif decoder is None:
            raise RecordingMissing(STEP, f"there is no file {self.path}", "Record it first by giving a decoder")
        else:
            self.model, self.constraints = decoder.model, decoder.constraints

    async def astream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> AsyncIterator[Event]:
        """Yield the recorded completion word by word. Raises RecordingMissing, or what the decoder raises."""
        for event in events_of(await self.acomplete(prompt, sampling=sampling, constraint=constraint, tools=tools)):
            yield event

    async def acomplete(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> Completion:
        """The recorded completion. Raises RecordingMissing, or what the decoder raises."""
        if constraint is not None and self._decoder is None and constraint.kind not in self.constraints:
            raise ConstraintRefused(STEP, f"{self.model} does not enforce {constraint.kind}", "Choose another decoder")
        messages, sampling = as_messages(prompt), sampling or Sampling()
        request = {"messages": messages, "sampling": sampling, "constraint": constraint, "tools": tuple(tools)}
        key, stored = self._find("complete", request)
        if stored is None:
            decoder = await self._recorder()
            answer = await decoder.acomplete(messages, sampling=sampling, constraint=constraint, tools=tools)
            stored = self._add("complete", key, request, answer)
        return _completion(stored)

    async def acount_tokens(self, prompt: Prompt) -> int:
        """The recorded count. Raises RecordingMissing."""
        request = {"messages": as_messages(prompt)}
        key, stored = self._find("count_tokens", request)
        if stored is None:
            stored = self._add("count_tokens", key, request, await (await self._recorder()).acount_tokens(prompt))
        return int(stored)

    async def acontext_length(self) -> int | None:
        """The recorded length, None where it was unknown. Raises RecordingMissing."""
        key, stored = self._find("context_length", {})
        if stored is None:
            decoder = await self._recorder()
            stored = self._add("context_length", key, {}, {"tokens": await decoder.acontext_length()})
        length = stored["tokens"]
        return None if length is None else int(length)

    async def aclose(self) -> None:
        """Close the decoder that was recorded from."""
        if self._decoder is not None:
            await self._decoder.aclose()

    async def aready(self) -> Self:
        """Find out what the decoder is called and enforces, when there is no recording that says it."""
        if not self._answers and self._decoder is not None:
            await self._recorder()
        return self

    async def _recorder(self) -> Decoder:
        if self._decoder is None:
            raise RecordingMissing(STEP, f"{self.path} holds no such request", "Record again by giving a decoder")
        await self._decoder.aready()
        self.model, self.constraints = self._decoder.model, self._decoder.constraints
        return self._decoder

    def _find(self, question: Question, request: Mapping[str, Any]) -> tuple[str, Any]:
        key = request_key(question, request)
        return key, self._answers.get(key)

    def _add(self, question: Question, key: str, request: Mapping[str, Any], answer: Any) -> Any:
        """Append a line; a header goes before the first. Returns the answer as it will be read back."""
        line = {"key": key, "question": question, "request": plain(request), "answer": plain(answer)}
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            with self.path.open("a", encoding="utf-8") as file:
                if new:
                    file.write(_dump({"model": self.model, "constraints": sorted(self.constraints)}) + "\n")
                file.write(_dump(line) + "\n")
            self._answers[key] = line["answer"]
        return line["answer"]

    def _load(self) -> None:
        for number, text in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                line = json.loads(text)
                if number == 1:
                    self.model, self.constraints = str(line["model"]), frozenset(line["constraints"])
                else:
                    self._answers[line["key"]] = line["answer"]
            except (ValueError, TypeError, KeyError) as error:
                raise RecordingDamaged(STEP, f"{self.path}, line {number}: {error!r}", "Record it again") from error


def request_key(question: Question, request: Mapping[str, Any]) -> str:
    """sha256 of what is asked. The order of keys counts: in a JSON schema it is the order of generation."""
    return hashlib.sha256(_dump([question, plain(request)]).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as what JSON knows; fields at None are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _completion(stored: Mapping[str, Any]) -> Completion:
    try:
        choices = tuple(_choice(choice) for choice in stored["choices"])
        return Completion(choices, Usage(**stored["usage"]), stored["model"], stored["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingDamaged(STEP, f"an answer cannot be read ({error!r})", "Record it again") from error


def _choice(stored: Mapping[str, Any]) -> Choice:
    changed = dict(stored)
    if "token_ids" in stored:
        changed["token_ids"] = tuple(stored["token_ids"])
    if "logprobs" in stored:
        changed["logprobs"] = tuple(_logprob(item) for item in stored["logprobs"])
    changed["tool_calls"] = tuple(ToolCall(**call) for call in stored.get("tool_calls", ()))
    return Choice(**changed)


def _logprob(stored: Mapping[str, Any]) -> TokenLogprob:
    return TokenLogprob(**{**stored, "top": tuple((str(token), float(p)) for token, p in stored.get("top", ()))})
