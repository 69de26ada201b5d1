"""`ChatHearth`: any decoder as a LangChain chat model, with tool calls and structured output that cannot be malformed.

Tool calls are constrained here and read here, so the server needs no tool parser; where it enforces no
constraints, its own tool calls are used. Message conversion is `langchain_messages.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import fields
from operator import itemgetter
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import Field, SkipValidation

from decoder import toolcalls
from decoder.base import Decoder, run_sync
from decoder.constraint import json_schema
from decoder.errors import UsageError
from decoder.langchain_messages import metadata, to_ai_message, to_messages, to_usage
from decoder.toolcalls import CallReader, Plan
from decoder.types import Completion, Constraint, Event, Finished, ReasoningDelta, Sampling, Tool, ToolCall

STEP = "calling through LangChain"
SAMPLING = frozenset(field.name for field in fields(Sampling)) - {"stop"}
# What LangChain itself may pass along with a call, and what has no bearing here.
PASSED = frozenset({"stream", "strict", "ls_structured_output_format", "stream_usage"})


class ChatHearth(BaseChatModel):
    """A decoder as a chat model: `ChatHearth(decoder=ServedDecoder("http://127.0.0.1:8000/v1"))`.

    Every field of `Sampling` can be given here, and per call; deadlines and retries belong to the decoder.
    Closing the decoder is its maker's task.
    """

    decoder: SkipValidation[Decoder] = Field(exclude=True)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    n: int = 1
    seed: int | None = None
    stop: list[str] | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logprobs: int | None = None
    streaming: bool = False

    @property
    def _llm_type(self) -> str:
        return "hearth"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.decoder.model} | {name: getattr(self, name) for name in SAMPLING}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "hearth"
        params["ls_model_name"] = kwargs.get("model") or self.decoder.model
        return params

    def bind_tools(
        self,
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool = True,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call `tools`.

        Args:
            tool_choice: None or "auto" leaves it to the model; "any", "required" or True asks for one call of any
                tool; a tool's name (or OpenAI's object with it) for a call of that one.

        Raises:
            UsageError: `tool_choice` names no tool of these.
        """
        ours = [_tool(tool) for tool in tools]
        choice, chosen = toolcalls.chosen(ours, tool_choice)
        return self.bind(tools=chosen, tool_choice=choice, parallel_tool_calls=parallel_tool_calls, **kwargs)

    def with_structured_output(
        self,
        schema: Mapping[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that gives an instance of `schema` (a pydantic model), or a dict of it.

        All methods are one here: the output is constrained to the schema, and parsed.

        Args:
            include_raw: give a dict of `raw` (the message), `parsed` and `parsing_error` instead.
        """
        as_json = schema
        if not isinstance(schema, Mapping) or "properties" not in schema:
            as_json = convert_to_json_schema(schema)  # type: ignore[arg-type]  # it takes any mapping and class
        shown = {"kwargs": {"method": method, "strict": strict}, "schema": as_json}
        model = self.bind(constraint=json_schema(as_json), ls_structured_output_format=shown, **kwargs)
        parser: BaseOutputParser[Any] = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return model | parser
        parse = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=RunnableLambda(lambda _: None)
        )
        failed = RunnablePassthrough.assign(parsed=RunnableLambda(lambda _: None))
        return RunnableMap(raw=model) | parse.with_fallbacks([failed], exception_key="parsing_error")

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return run_sync(self._agenerate(messages, stop, None, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        plan, sampling = await self._plan(messages, stop, kwargs)
        completion = await self.decoder.acomplete(
            plan.messages, sampling=sampling, constraint=plan.constraint, tools=plan.tools
        )
        return _result(plan, completion)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        plan, sampling = run_sync(self._plan(messages, stop, kwargs))
        chunks = _Chunks(plan.mode)
        events = self.decoder.stream(plan.messages, sampling=sampling, constraint=plan.constraint, tools=plan.tools)
        with closing(events):  # type: ignore[type-var]  # a generator, whose close ends the request
            for event in events:
                for chunk in chunks.of(event):
                    if run_manager:
                        run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        plan, sampling = await self._plan(messages, stop, kwargs)
        chunks = _Chunks(plan.mode)
        events = self.decoder.astream(plan.messages, sampling=sampling, constraint=plan.constraint, tools=plan.tools)
        async with aclosing(events):  # type: ignore[type-var]  # a generator, whose close ends the request
            async for event in events:
                for chunk in chunks.of(event):
                    if run_manager:
                        await run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                    yield chunk

    async def _plan(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> tuple[Plan, Sampling]:
        """What to ask of the decoder. Raises UsageError for an option that is unknown, or another model's name."""
        options = {key: value for key, value in options.items() if key not in PASSED}
        tools, choice = options.pop("tools", ()), options.pop("tool_choice", "auto")
        parallel = options.pop("parallel_tool_calls", True)
        constraint: Constraint | None = options.pop("constraint", None)
        model = options.pop("model", None)
        if model not in (None, self.decoder.model):
            remedy = "Make another ChatHearth with a decoder of that model"
            raise UsageError(STEP, f"the decoder is {self.decoder.model!r}, not {model!r}", remedy)
        if unknown := sorted(options.keys() - SAMPLING):
            raise UsageError(STEP, f"unknown options: {', '.join(unknown)}", f"Known: {', '.join(sorted(SAMPLING))}")
        drawn = {name: options.get(name, getattr(self, name)) for name in SAMPLING}
        sampling = Sampling(**drawn, stop=tuple(stop or self.stop or ()))
        if not tools:
            return Plan("none", to_messages(messages), constraint), sampling
        await self.decoder.aready()
        return toolcalls.plan(self.decoder, to_messages(messages), tools, choice, parallel), sampling


class _Chunks:
    """Turns the events of one stream into LangChain's chunks."""

    def __init__(self, mode: str) -> None:
        self._reader, self._calls = CallReader(mode), 0

    def of(self, event: Event) -> Iterator[ChatGenerationChunk]:
        """The chunks that `event` makes; the last one carries usage and metadata."""
        if isinstance(event, ReasoningDelta) and event.index == 0:
            yield _chunk(content="", additional_kwargs={"reasoning_content": event.text})
        for item in self._reader.feed(event):
            yield _chunk(content=item) if isinstance(item, str) else self._call(item)
        if isinstance(event, Finished):
            done = event.completion
            said = metadata(done, done.choices[0])
            if self._calls:
                said["finish_reason"] = "tool_calls"
            yield _chunk(content="", response_metadata=said, usage_metadata=to_usage(done.usage), chunk_position="last")

    def _call(self, call: ToolCall) -> ChatGenerationChunk:
        piece = tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=self._calls)
        self._calls += 1
        return _chunk(content="", tool_call_chunks=[piece])


def _chunk(**message: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**message))


def _result(plan: Plan, completion: Completion) -> ChatResult:
    generations = []
    for choice in completion.choices:
        text, calls = toolcalls.read(plan.mode, choice)
        message = to_ai_message(completion, choice, text, calls)
        if calls:
            message.response_metadata["finish_reason"] = "tool_calls"
        generations.append(ChatGeneration(message=message, generation_info=dict(message.response_metadata)))
    return ChatResult(generations=generations, llm_output={"model_name": completion.model})


def _tool(tool: Mapping[str, Any] | type | Callable[..., Any] | BaseTool) -> Tool:
    function = convert_to_openai_tool(tool)["function"]
    return Tool(function["name"], function.get("description", ""), function.get("parameters", {}))
