"""`HearthLLM`: any decoder as a LlamaIndex model, with function calls and structured prediction that are constrained.

Knows LlamaIndex's messages and ours; how tool calls are asked for and read is `toolcalls.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import fields
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import BaseModel, Field, PrivateAttr
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools.types import BaseTool
from pydantic import SkipValidation

from decoder import toolcalls
from decoder.base import Decoder, run_sync
from decoder.constraint import json_schema
from decoder.errors import MalformedResponse, UsageError
from decoder.llamaindex_messages import arguments_of, to_messages, to_response
from decoder.toolcalls import CallReader, Plan
from decoder.types import (
    Completion,
    Constraint,
    Event,
    Finished,
    ReasoningDelta,
    Sampling,
    Tool,
    ToolCall,
)

STEP = "calling through LlamaIndex"
SAMPLING = frozenset(field.name for field in fields(Sampling))
UNKNOWN_CONTEXT = 4096  # tokens, taken where a decoder does not tell its own


class HearthLLM(FunctionCallingLLM):
    """A decoder as LlamaIndex's model: `HearthLLM(decoder=ServedDecoder("http://127.0.0.1:8000/v1"))`.

    `sampling` holds for every call; single fields of it can be given per call (`llm.complete("…", seed=1)`).
    Closing the decoder is its maker's task.
    """

    decoder: SkipValidation[Decoder] = Field(exclude=True)
    sampling: SkipValidation[Sampling] = Field(default_factory=Sampling, exclude=True)
    _context_window: int | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex stores it."""
        return "HearthLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """Asked of the decoder once; 4,096 tokens where it does not tell its context."""
        if self._context_window is None:
            run_sync(self.decoder.aready())
            self._context_window = run_sync(self.decoder.acontext_length()) or UNKNOWN_CONTEXT
        return LLMMetadata(
            context_window=self._context_window,
            num_output=self.sampling.max_tokens or min(1024, self._context_window // 4),
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.decoder.model,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The whole answer. Raises DecoderError leaves."""
        return run_sync(self._answer(messages, kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The whole answer. Raises DecoderError leaves."""
        return await self._answer(messages, kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer as it grows. Raises DecoderError leaves."""
        plan, sampling = run_sync(self._plan(messages, kwargs))

        def generate() -> ChatResponseGen:
            growing = _Growing(plan.mode)
            events = self.decoder.stream(plan.messages, sampling=sampling, constraint=plan.constraint, tools=plan.tools)
            with closing(events):  # type: ignore[type-var]  # a generator, whose close ends the request
                for event in events:
                    yield from growing.of(event)

        return generate()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The answer as it grows. Raises DecoderError leaves."""
        plan, sampling = await self._plan(messages, kwargs)

        async def generate() -> ChatResponseAsyncGen:
            growing = _Growing(plan.mode)
            events: AsyncIterator[Event] = self.decoder.astream(
                plan.messages, sampling=sampling, constraint=plan.constraint, tools=plan.tools
            )
            async with aclosing(events):  # type: ignore[type-var]  # a generator, whose close ends the request
                async for event in events:
                    for response in growing.of(event):
                        yield response

        return generate()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The prompt as one user message. Raises DecoderError leaves."""
        return _as_completion(run_sync(self._answer(_one(prompt), kwargs)))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The prompt as one user message. Raises DecoderError leaves."""
        return _as_completion(await self._answer(_one(prompt), kwargs))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The prompt as one user message. Raises DecoderError leaves."""
        return (_as_completion(response) for response in self.stream_chat(_one(prompt), **kwargs))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """The prompt as one user message. Raises DecoderError leaves."""
        responses = await self.astream_chat(_one(prompt), **kwargs)
        return (_as_completion(response) async for response in responses)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls of an answer. Raises MalformedResponse when there is none and one was needed."""
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if not calls and error_on_no_tool_call:
            raise MalformedResponse(STEP, "the answer calls no tool", "Require one with tool_required=True")
        return [
            ToolSelection(tool_id=b.tool_call_id or "", tool_name=b.tool_name, tool_kwargs=arguments_of(b))
            for b in calls
        ]

    def structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """An instance of `output_cls`: the output is constrained to its schema."""
        return run_sync(self.astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args))

    async def astructured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """An instance of `output_cls`: the output is constrained to its schema."""
        messages = prompt.format_messages(llm=self, **prompt_args)
        response = await self._answer(messages, {**(llm_kwargs or {}), "constraint": json_schema(output_cls)})
        try:
            return output_cls.model_validate_json(response.message.content or "")
        except ValueError as error:
            raise MalformedResponse(STEP, f"the output is not a {output_cls.__name__}", "Allow more tokens") from error

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or [])
        if user_msg is not None:
            messages.append(ChatMessage(user_msg, role=MessageRole.USER) if isinstance(user_msg, str) else user_msg)
        choice = "required" if tool_required else "auto"
        ours = [_tool(tool) for tool in tools]
        parallel = allow_parallel_tool_calls
        return {"messages": messages, "tools": ours, "tool_choice": choice, "parallel_tool_calls": parallel, **kwargs}

    async def _answer(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatResponse:
        plan, sampling = await self._plan(messages, options)
        completion = await self.decoder.acomplete(
            plan.messages, sampling=sampling, constraint=plan.constraint, tools=plan.tools
        )
        choice = completion.choices[0]
        text, calls = toolcalls.read(plan.mode, choice)
        return to_response(text, calls, choice.reasoning or "", completion)

    async def _plan(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> tuple[Plan, Sampling]:
        options = dict(options)
        tools, choice = options.pop("tools", ()), options.pop("tool_choice", "auto")
        parallel = options.pop("parallel_tool_calls", True)
        constraint: Constraint | None = options.pop("constraint", None)
        options.pop("formatted", None)
        if unknown := sorted(options.keys() - SAMPLING):
            raise UsageError(STEP, f"unknown options: {', '.join(unknown)}", f"Known: {', '.join(sorted(SAMPLING))}")
        drawn = {name: getattr(self.sampling, name) for name in SAMPLING} | options
        sampling = Sampling(**drawn | {"stop": tuple(drawn["stop"] or ())})
        ours = to_messages(messages)
        if not tools:
            return Plan("none", ours, constraint), sampling
        choice, tools = toolcalls.chosen(tools, choice)
        await self.decoder.aready()
        return toolcalls.plan(self.decoder, ours, tools, choice, parallel), sampling


class _Growing:
    """The answer so far, as LlamaIndex streams it."""

    def __init__(self, mode: str) -> None:
        self._reader = CallReader(mode)
        self._text, self._reasoning = "", ""
        self._calls: list[ToolCall] = []

    def of(self, event: Event) -> Iterator[ChatResponse]:
        """The responses that `event` makes; the last one carries the completion as `raw`."""
        if isinstance(event, ReasoningDelta) and event.index == 0:
            self._reasoning += event.text
        for item in self._reader.feed(event):
            if isinstance(item, str):
                self._text += item
                yield self._now(item, None)
            else:
                self._calls.append(item)
        if isinstance(event, Finished):
            yield self._now("", event.completion)

    def _now(self, delta: str, completion: Completion | None) -> ChatResponse:
        response = to_response(self._text, self._calls, self._reasoning, completion)
        response.delta = delta
        return response


def _as_completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )


def _one(prompt: str) -> list[ChatMessage]:
    return [ChatMessage(prompt, role=MessageRole.USER)]


def _tool(tool: BaseTool) -> Tool:
    function = tool.metadata.to_openai_tool(skip_length_check=True)["function"]
    return Tool(function["name"], function.get("description", ""), function["parameters"])
