"""`EmbeddedDecoder`: a transformers model in this process, constrained by xgrammar.

For small models, tests and machines without a server: one request runs at a time, the others wait their turn.
Knows how a model is loaded and a conversation tokenized; the token loop is `generation.py`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder import tiny
from decoder.base import Decoder
from decoder.constraint import is_tool_call, validate
from decoder.errors import (
    ConstraintRefused,
    ContextOverflow,
    DecoderTimeout,
    MissingExtra,
    RequestRefused,
    ServerFailed,
    UnknownModel,
    UsageError,
)
from decoder.loading_bar import no_progress_bar
from decoder.toolcalls import read_call
from decoder.types import (
    CONSTRAINT_KINDS,
    Choice,
    Completion,
    Constraint,
    Event,
    Finished,
    ImagePart,
    Message,
    Prompt,
    Sampling,
    TextDelta,
    Tool,
    ToolCallDelta,
    Usage,
    as_messages,
)

if TYPE_CHECKING:
    from decoder.generation import Job, Row
    from decoder.masking import MaskCompiler

LOADING, GENERATING = "loading an embedded model", "generating in process"
EXTRA = "rag"


@dataclass(frozen=True)
class Engine:
    """A loaded model with what belongs to it. `context_length` is in tokens, None when the model has no limit."""

    model: Any
    tokenizer: Any
    masks: MaskCompiler | None
    end_tokens: frozenset[int]
    context_length: int | None


class EmbeddedDecoder(Decoder):
    """Runs a causal language model from a local folder or the hub; safetensors only, never its own code.

    The model is loaded at the first request. Its generation_config.json gives the defaults of sampling; without
    max_tokens a completion may fill the context. The same seed gives the same text on the same machine. A model
    without a chat template is given lines of `role: text`.

    Args:
        model: a folder with config.json and *.safetensors, "hearth-tiny", or a name on the model hub.
        device: "cpu", "cuda", "cuda:1", …; by default a GPU when there is one.
        dtype: of the weights, such as "bfloat16"; by default as they were saved.
        timeout: seconds to wait for the next event, a turn at the model included.

    Raises:
        UsageError: the folder holds no safetensors model.
    """

    def __init__(
        self, model: str | Path, *, device: str | None = None, dtype: str = "auto", timeout: float = 600.0
    ) -> None:
        path = Path(tiny.resolve(model)).expanduser()
        if path.is_dir():
            _check_folder(path)
        self._source = str(path) if path.is_dir() else str(model)
        self.model = path.name if path.is_dir() else str(model)
        self._device, self._dtype, self._timeout = device, dtype, timeout
        self.constraints = frozenset(CONSTRAINT_KINDS if importlib.util.find_spec("xgrammar") else ())
        self._engine: Engine | None = None
        self._loading = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None
        self._running: set[threading.Event] = set()

    async def astream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        constraint: Constraint | None = None,
        tools: Sequence[Tool] = (),
    ) -> AsyncIterator[Event]:
        """Yield deltas as tokens are drawn. Closing it ends the generation within one token.

        Raises:
            ContextOverflow: before anything is generated.
            ConstraintRefused: the constraint is malformed, or xgrammar cannot enforce it.
            RequestRefused: an image, or a conversation that the model's chat template refuses.
            UnknownModel, MissingExtra, UsageError: the model cannot be loaded.
            DecoderTimeout: no event came in time. ServerFailed: torch failed.
        """
        messages = as_messages(prompt)
        if constraint is not None:
            self._check_kind(validate(constraint))
        engine = await asyncio.to_thread(self.load)
        job = await asyncio.to_thread(_job, engine, messages, tuple(tools), sampling or Sampling(), constraint)
        calls_tool = is_tool_call(constraint)
        async with aclosing(self._events(engine, job, silent=calls_tool)) as items:
            async for item in items:
                if isinstance(item, list):
                    rows = item
                else:
                    yield item
        choices = tuple(_choice(row, calls_tool) for row in rows)
        for choice in choices if calls_tool else ():
            yield _only_delta(choice)
        used = sum(len(row.ids) for row in rows)
        yield Finished(Completion(choices, Usage(len(job.ids), used), self.model))

    async def acount_tokens(self, prompt: Prompt) -> int:
        """Exactly, with the chat template."""
        engine = await asyncio.to_thread(self.load)
        return len(await asyncio.to_thread(_tokenize, engine.tokenizer, as_messages(prompt), ()))

    async def acontext_length(self) -> int | None:
        """The model's `max_position_embeddings`."""
        return (await asyncio.to_thread(self.load)).context_length

    async def aclose(self) -> None:
        """Let the model go, after the token that is being drawn."""
        worker, self._worker, self._engine = self._worker, None, None
        for cancelled in tuple(self._running):
            cancelled.set()
        if worker is not None:
            worker.shutdown(wait=False, cancel_futures=True)

    def load(self) -> Engine:
        """Load the model now, once. Raises MissingExtra, UnknownModel, UsageError."""
        with self._loading:
            if self._engine is None:
                self._engine = _load(self._source, self._device, self._dtype)
            return self._engine

    def _check_kind(self, constraint: Constraint) -> None:
        if constraint.kind not in self.constraints:
            raise ConstraintRefused(GENERATING, "constraints need xgrammar", f"pip install 'hearth[{EXTRA}]'")

    async def _events(self, engine: Engine, job: Job, silent: bool) -> AsyncGenerator[Event | list[Row]]:
        """Events from the worker thread as they come, then the rows."""
        from decoder import generation

        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def send(event: Event | None) -> None:
            try:
                loop.call_soon_threadsafe(queue.put_nowait, event)
            except RuntimeError:  # the reader's loop is closed: nobody waits for the rest
                job.cancelled.set()

        job = job if silent else replace(job, emit=send)
        self._running.add(job.cancelled)
        future = self._submit(generation.run, engine.model, engine.tokenizer, job)
        future.add_done_callback(lambda _: send(None))
        event: Event | None = None
        try:
            while (event := await self._next(queue)) is not None:
                yield event
            yield _result(future, job)
        finally:
            self._running.discard(job.cancelled)
            job.cancelled.set()
            future.cancel()
            while not future.done() or event is not None:
                event = await self._next(queue)

    def _submit(self, function: Callable[..., list[Row]], *arguments: Any) -> Future[list[Row]]:
        with self._loading:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="hearth-embedded")
            return self._worker.submit(function, *arguments)

    async def _next(self, queue: asyncio.Queue[Event | None]) -> Event | None:
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
            async with asyncio.timeout(self._timeout):
                return await queue.get()
        except TimeoutError as error:
            cause = f"no token came within {self._timeout:g} s"
            raise DecoderTimeout(GENERATING, cause, "Use a smaller model or a longer timeout") from error


def _result(future: Future[list[Row]], job: Job) -> list[Row]:
    if job.cancelled.is_set():
        raise ServerFailed(GENERATING, "the decoder was closed meanwhile", "Close it after its last request")
    try:
        return future.result()
    except RuntimeError as error:  # torch's own, out of memory among them
        cause = " ".join(str(error).split())[:300]
        raise ServerFailed(GENERATING, cause, "Lower n or max_tokens, or use a smaller model") from error


def _check_folder(path: Path) -> None:
    if not (path / "config.json").is_file():
        raise UsageError(LOADING, f"{path} holds no config.json", "Name the folder of a transformers model")
    if not any(path.glob("*.safetensors")):
        raise UsageError(LOADING, f"{path} holds no *.safetensors weights", "Convert the model to safetensors")


def _load(source: str, device: str | None, dtype: str) -> Engine:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtra(LOADING, "transformers or torch", EXTRA) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        with no_progress_bar():
            model: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError) as error:
        cause = " ".join(str(error).split())[:300]
        raise UnknownModel(LOADING, f"{source}: {cause}", "Name a model folder, or a model of the hub") from error
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
    text_config = model.config.get_text_config()
    ends = _end_tokens(model.generation_config.eos_token_id, tokenizer.eos_token_id)
    masks = None
    if importlib.util.find_spec("xgrammar"):
        from decoder.masking import MaskCompiler

        masks = MaskCompiler(tokenizer, text_config.vocab_size, ends)
    return Engine(model, tokenizer, masks, ends, getattr(text_config, "max_position_embeddings", None))


def _end_tokens(*sources: int | Sequence[int] | None) -> frozenset[int]:
    ends: set[int] = set()
    for source in sources:
        ends.update([source] if isinstance(source, int) else source or ())
    return frozenset(ends)


def _job(
    engine: Engine,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    sampling: Sampling,
    constraint: Constraint | None,
) -> Job:
    from decoder.generation import Job

    ids = _tokenize(engine.tokenizer, messages, tools)
    sampling = _filled(sampling, engine, len(ids))
    masks = engine.masks.masks(constraint, sampling.n) if constraint is not None and engine.masks else ()
    return Job(ids, sampling, engine.end_tokens, masks)


def _filled(sampling: Sampling, engine: Engine, prompt_tokens: int) -> Sampling:
    """Sampling with the model's own defaults where None. Raises ContextOverflow."""
    room = 2**20 if engine.context_length is None else engine.context_length - prompt_tokens
    if room < (sampling.max_tokens or 1):
        cause = (
            f"{prompt_tokens} prompt tokens and max_tokens={sampling.max_tokens or 1} exceed {engine.context_length}"
        )
        raise ContextOverflow(GENERATING, cause, "Shorten the prompt or lower max_tokens")
    own = engine.model.generation_config
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    defaults: dict[str, Any] = {name: getattr(own, name, None) for name in names if getattr(sampling, name) is None}
    if sampling.temperature is None and defaults["temperature"] is None:
        defaults["temperature"] = 1.0
    return replace(sampling, max_tokens=sampling.max_tokens or room, **defaults)


def _tokenize(tokenizer: Any, messages: Sequence[Message], tools: Sequence[Tool]) -> list[int]:
    """The conversation up to where the assistant's answer begins. Raises RequestRefused."""
    for message in messages:
        if not isinstance(message.content, str) and any(isinstance(p, ImagePart) for p in message.content):
            raise RequestRefused(GENERATING, "an embedded model reads text only", "Send images to a served model")
    if not tokenizer.chat_template:
        lines = [f"{message.role}: {message.text}" for message in messages]
        return list(tokenizer("\n".join([*lines, "assistant:"]))["input_ids"])
    from jinja2 import TemplateError

    functions = [{"type": "function", "function": _function(tool)} for tool in tools] or None
    try:
        text = tokenizer.apply_chat_template(
            [_for_template(m) for m in messages], tools=functions, add_generation_prompt=True, tokenize=False
        )
    except TemplateError as error:
        raise RequestRefused(GENERATING, f"the chat template refuses the conversation ({error})") from error
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _function(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _for_template(message: Message) -> Mapping[str, Any]:
    """As chat templates expect it: arguments of tool calls are objects, absent fields are left out."""
    turn: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    optional = {"tool_call_id": message.tool_call_id, "name": message.name, "reasoning_content": message.reasoning}
    return turn | {key: value for key, value in optional.items() if value is not None}


def _arguments(text: str) -> Any:
    with suppress(ValueError):
        return json.loads(text)
    return text


def _choice(row: Row, calls_tool: bool) -> Choice:
    reason = row.finish_reason or "stop"
    logprobs = tuple(row.logprobs) or None
    call = read_call(row.text) if calls_tool else None
    if call:
        return Choice("", "tool_calls", row.index, tuple(row.ids), logprobs, (call,))
    return Choice(row.text, reason, row.index, tuple(row.ids), logprobs)


def _only_delta(choice: Choice) -> Event:
    """A choice of a constrained tool call at once: half a call is of no use."""
    if choice.tool_calls:
        call = choice.tool_calls[0]
        return ToolCallDelta(0, call.id, call.name, call.arguments, choice.index)
    return TextDelta(choice.text, choice.index)
