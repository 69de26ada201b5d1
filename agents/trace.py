"""A run as OpenTelemetry spans, by the conventions for generative AI: `invoke_agent`, `chat`, `execute_tool`.

A listener makes them of events, so a run without one pays nothing. They go to the tracer provider of the process, or,
with `tracing()`, by OTLP to where OTEL_EXPORTER_OTLP_ENDPOINT points. What was said and done is left out of them
unless it is asked for: traces travel.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agents.events import (
    Call,
    DecoderCalled,
    Event,
    FinalAnswer,
    Nested,
    Observation,
    Resumed,
    RunEnded,
    RunStarted,
    Thought,
    ToolStarted,
)
from decoder.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

STEP = "tracing"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
NANO = 1_000_000_000
_RESUMED: dict[str, Any] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "hearth",
    "hearth.resumed": True,
}
LONGEST = 8_000


class SpanListener:
    """Makes spans of a run's events: `Agent(…, listeners=[SpanListener()])`. One can serve many runs, one by one.

    Args:
        content: put thoughts, arguments, results and answers into the spans. Secrets are out of them already.
        provider: by default the process's own.

    Raises:
        MissingExtra: opentelemetry is not installed.
    """

    def __init__(self, content: bool = False, provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise MissingExtra(STEP, "opentelemetry-sdk", "agents") from error
        self._trace, self._content = trace, content
        self._tracer = trace.get_tracer("hearth.agents", tracer_provider=provider)
        self._runs: list[Span] = []
        self._tools: dict[str, Span] = {}
        self._workers: dict[str, SpanListener] = {}
        self._provider, self._parent = provider, None

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case RunStarted():
                self._begin_run(event)
            case Resumed() if not self._runs:
                self._runs.append(self._start("invoke_agent", self._parent, _RESUMED))
            case DecoderCalled():
                self._chat(event)
            case Thought() if self._content:
                self._run.add_event("thought", {"text": event.text[:LONGEST]})
            case ToolStarted():
                self._begin_tool(event)
            case Nested():
                self._worker(event)(event.event)
            case Observation():
                self._end_tool(event)
            case FinalAnswer() if self._content:
                self._run.set_attribute("gen_ai.output.messages", _written(event.answer))
            case RunEnded():
                self._end_run(event)

    @property
    def _run(self) -> Span:
        return self._runs[-1]

    def _start(self, name: str, parent: Span | None, attributes: dict[str, Any], seconds: float = 0.0) -> Span:
        context = self._trace.set_span_in_context(parent) if parent is not None else None
        kind = self._trace.SpanKind.INTERNAL if "tool" in name or "agent" in name else self._trace.SpanKind.CLIENT
        began = time.time_ns() - int(seconds * NANO)
        return self._tracer.start_span(name, context, kind, attributes, start_time=began)

    def _begin_run(self, event: RunStarted) -> None:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "hearth",
            "gen_ai.agent.name": event.agent,
            "gen_ai.agent.id": event.run_id,
            "gen_ai.request.model": event.model,
        }
        if self._content:
            attributes["gen_ai.input.messages"] = event.task[:LONGEST]
        self._runs.append(self._start(f"invoke_agent {event.agent}", self._parent, attributes))

    def _chat(self, event: DecoderCalled) -> None:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "hearth",
            "gen_ai.request.model": event.model,
            "gen_ai.usage.input_tokens": event.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": event.usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": event.usage.cached_tokens or 0,
            "gen_ai.response.finish_reasons": (event.finish_reason,),
            "hearth.agent.step": event.step,
            "hearth.agent.purpose": event.purpose,
        }
        self._start(f"chat {event.model}", self._run, attributes, event.seconds).end()

    def _begin_tool(self, event: ToolStarted) -> None:
        attributes = {**_tool(event.call), "hearth.agent.step": event.step, "hearth.tool.effect": event.effect}
        if self._content:
            attributes["gen_ai.tool.call.arguments"] = _written(event.call.arguments)
        self._tools[event.call.id] = self._start(f"execute_tool {event.call.tool}", self._run, attributes)

    def _worker(self, event: Nested) -> SpanListener:
        if event.call_id not in self._workers:
            worker = SpanListener(self._content, self._provider)
            worker._parent = self._tools.get(event.call_id)  # type: ignore[assignment]  # a span, or none
            self._workers[event.call_id] = worker
        return self._workers[event.call_id]

    def _end_tool(self, event: Observation) -> None:
        """A call that was refused has a span too, of no length, so that a trace shows what the policy did."""
        span = self._tools.pop(event.call.id, None)
        if span is None:
            span = self._start(f"execute_tool {event.call.tool}", self._run, _tool(event.call))
        span.set_attribute("hearth.tool.ran", event.ran)
        if self._content:
            span.set_attribute("gen_ai.tool.call.result", event.text[:LONGEST])
        if event.error:
            span.set_attribute("error.type", "refused" if not event.ran else "tool_error")
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        self._workers.pop(event.call.id, None)
        span.end()

    def _end_run(self, event: RunEnded) -> None:
        result, span = event.result, self._runs.pop()
        span.set_attribute("hearth.agent.ended", result.ended)
        span.set_attribute("gen_ai.usage.input_tokens", result.spent.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", result.spent.completion_tokens)
        if not result.ok:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, f"ended by {result.ended}"))
        span.end()

    def close(self) -> None:
        """End the spans of a run that was broken off, marked as errors. Idempotent."""
        for worker in self._workers.values():
            worker.close()
        for span in [*self._tools.values(), *reversed(self._runs)]:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, "broken off"))
            span.end()
        self._runs, self._tools, self._workers = [], {}, {}


def configured() -> bool:
    """Whether the environment names a place to send traces to."""
    return bool(os.environ.get(ENDPOINT) or os.environ.get(TRACES_ENDPOINT))


@contextmanager
def tracing(content: bool = False, service: str = "hearth", timeout: float = 5.0) -> Iterator[SpanListener]:
    """A listener whose spans are sent by OTLP over HTTP, in batches, and are flushed at the end.

    The endpoint and headers come from the standard OTEL_EXPORTER_OTLP_* variables. A collector that does not answer
    costs at most `timeout` seconds at the end, and never the run.

    Raises:
        SettingsError: no endpoint is set.
        MissingExtra: opentelemetry is not installed.
    """
    if not configured():
        raise SettingsError(STEP, f"{ENDPOINT} is not set", "Set it to your collector, such as http://127.0.0.1:4318")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra(STEP, "opentelemetry-exporter-otlp-proto-http", "agents") from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    listener = SpanListener(content, provider)
    try:
        yield listener
    finally:
        listener.close()
        provider.force_flush(int(timeout * 1000))
        provider.shutdown()


def _tool(call: Call) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.tool,
        "gen_ai.tool.call.id": call.id,
        "gen_ai.tool.type": "function",
    }


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:LONGEST]
