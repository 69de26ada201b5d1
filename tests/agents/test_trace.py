"""A run as OpenTelemetry spans, sent by OTLP to a real receiver, and as an outline in text and HTML."""

import http.server
import json
import threading

import pytest

from agents import Agent, Policy, Secret, Tool
from agents.outline import outline, text_lines, to_html
from agents.team import as_tool
from agents.trace import SpanListener, tracing
from decoder import ScriptedDecoder, SettingsError

pytest.importorskip("opentelemetry.sdk", reason="the tracing extra is not installed")
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
SECRET = Secret("KEY", "very-secret-value")


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def fail():
    raise ValueError(f"no access with {SECRET.value}")


def make(listeners=()):
    """A boss with a worker, a tool that fails and one that is refused."""
    worker = Agent(
        ScriptedDecoder(["Inner thought.", call("final_answer", answer="inner")], model="small"), name="worker"
    )
    script = [
        *("First I ask <script>alert(1)</script>.", call("worker", task="Do it.")),
        *("Then this.", call("broken")),
        *("Then that.", call("wipe")),
        *("Done.", call("final_answer", answer="all")),
    ]
    tools = [
        as_tool(worker, "Works."),
        Tool("broken", "Fails.", NOTHING, fail, effect="read"),
        Tool("wipe", "Wipes.", NOTHING, lambda: "x"),
    ]
    policy = Policy(deny=frozenset({"wipe"}))
    return Agent(
        ScriptedDecoder(script, model="big"), tools, name="boss", policy=policy, secrets=[SECRET], listeners=listeners
    )


@pytest.fixture
def spans():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def run(content=False):
        make([SpanListener(content, provider)]).run("Go.")
        return {span.name: span for span in exporter.get_finished_spans()}

    return run


def test_the_spans_follow_the_conventions_and_nest(spans):
    found = spans()
    boss, worker, tool = found["invoke_agent boss"], found["invoke_agent worker"], found["execute_tool worker"]
    assert boss.parent is None
    assert tool.parent.span_id == boss.context.span_id
    assert worker.parent.span_id == tool.context.span_id
    assert found["chat small"].parent.span_id == worker.context.span_id
    assert boss.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert boss.attributes["gen_ai.agent.name"] == "boss"
    assert boss.attributes["hearth.agent.ended"] == "answer"
    assert found["chat big"].attributes["gen_ai.usage.input_tokens"] > 0
    assert tool.attributes["gen_ai.tool.name"] == "worker"


def test_failures_and_refusals_are_marked(spans):
    found = spans()
    assert found["execute_tool broken"].attributes["error.type"] == "tool_error"
    assert found["execute_tool wipe"].attributes["error.type"] == "refused"
    assert not found["execute_tool wipe"].attributes["hearth.tool.ran"]


def test_what_was_said_is_left_out_unless_asked_for_and_secrets_always(spans):
    def written(found):
        return repr([(span.attributes, [event.attributes for event in span.events]) for span in found.values()])

    assert "First I ask" not in written(spans())
    full = written(spans(content=True))
    assert "First I ask" in full
    assert "no access with [secret KEY]" in full
    assert SECRET.value not in full


def test_a_broken_off_run_leaves_no_open_span(spans):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    listener = SpanListener(provider=provider)
    stream = make([listener]).stream("Go.")
    for event in stream:
        if type(event).__name__ == "ToolStarted":
            break
    stream.close()
    listener.close()
    names = [span.name for span in exporter.get_finished_spans()]
    assert "execute_tool worker" in names
    assert "invoke_agent boss" in names


RECEIVED = []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        RECEIVED.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_spans_arrive_at_a_collector_by_otlp(monkeypatch):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        with tracing() as listener:
            make([listener]).run("Go.")
    finally:
        server.shutdown()
        server.server_close()
    path, body = RECEIVED[0]
    sent = ExportTraceServiceRequest.FromString(body)
    names = [span.name for r in sent.resource_spans for scope in r.scope_spans for span in scope.spans]
    assert path == "/v1/traces"
    assert {"invoke_agent boss", "invoke_agent worker", "execute_tool broken", "chat big"} <= set(names)


def test_without_an_endpoint_tracing_says_what_to_set(monkeypatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"), tracing():
        pass


def test_the_outline_shows_steps_workers_and_what_went_wrong():
    lines = list(text_lines(outline(make().stream("Go."))))
    assert lines[0].startswith("boss: Go.  (answer, 4 steps, 2 calls")
    assert any(line.startswith("      worker: Do it.") for line in lines)
    assert any(line.strip().startswith("! broken failed: ValueError: no access with [secret KEY]") for line in lines)
    assert any("! wipe failed: Not allowed" in line and "not run" in line for line in lines)


def test_the_page_escapes_every_text_and_loads_nothing():
    page = to_html(make().stream("Go."))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
