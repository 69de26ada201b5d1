"""`hearth agent`: give an agent a task and see each of its steps; without a task, talk with it."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from decoder.errors import UsageError
from ui.cli import wiring
from ui.cli.agent_tools import HELP, knowledge_tools, mcp_tools, parse_tools
from ui.cli.main import new_app
from ui.cli.options import BaseUrl, Debug, Docs, Embedded, Json, Model
from ui.cli.output import print_json, print_text, remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents import Agent, Event, RunResult
    from agents.agent import Listener
    from ui.cli.agent_steps import Steps

app = new_app()
STEP = "starting an agent"


@app.command()
def agent(
    task: Annotated[str, typer.Argument(help="What to do; without it, you are asked.", show_default=False)] = "",
    tools: Annotated[str, typer.Option(metavar="LIST", help=HELP)] = "calculator,clock",
    mcp: Annotated[
        list[str] | None, typer.Option(metavar="SERVER", help="An MCP server: its address, or a command line.")
    ] = None,
    kb: Annotated[str, typer.Option("--kb", metavar="NAME", help="A knowledge base that it may search.")] = "",
    docs: Docs = None,
    approve: Annotated[
        str, typer.Option(metavar="ask|never|always", help="What needs approval: ask here, refuse, or allow.")
    ] = "ask",
    instructions: Annotated[str, typer.Option(metavar="TEXT", help="Who it is and what holds for its work.")] = "",
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Most steps of a task.")] = 12,
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Most tokens of a task.")] = 100_000,
    seconds: Annotated[float, typer.Option(metavar="N", min=0.1, help="Most seconds of a task.")] = 300.0,
    mode: Annotated[str, typer.Option(metavar="constrained|native|text", help="How actions are asked for.")] = "",
    transcript: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the run's events; go on with them if the file is there.")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print the tree of steps at the end.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the run as a page.")] = None,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Give an agent a task and see each of its steps.

    It thinks, calls tools and answers; without a task, you are asked for one after the other. Tools that write or
    send need your yes once it has read text that nobody vouches for. The exit code is 3 when it ended without an
    answer. With OTEL_EXPORTER_OTLP_ENDPOINT set, spans are sent there.
    """
    _check(task, approve, mode, transcript)
    decoder = wiring.find_decoder_or_tiny(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
    if decoder is None:
        raise UsageError(STEP, "an agent needs a decoder", "Start one with `hearth serve`, or give --base-url")
    from agents import Agent, Budget
    from ui.cli.agent_steps import Steps, policy_for

    with ExitStack() as stack:
        stack.enter_context(closing(decoder))
        made = parse_tools(tools)
        if kb or docs:
            base = stack.enter_context(closing(wiring.prepare(kb or wiring.DEFAULT, docs, decoder)))
            made += knowledge_tools(base)
        made += stack.enter_context(mcp_tools(mcp or ()))
        shown = Steps(quiet=json)
        listeners: list[Listener] = [shown]
        listeners += _tracing(stack)
        worker = Agent(
            decoder,
            made,
            instructions=instructions,
            budget=Budget(steps=steps, tokens=tokens, seconds=seconds),
            policy=policy_for(approve),
            mode=mode or None,  # type: ignore[arg-type]  # checked above
            listeners=listeners,
        )
        if not task and transcript is None:
            return _talk(worker, shown)
        result = _once(worker, task, transcript, shown)
        _report(result, shown, trace, html, json)
    return 0 if result.ok else 3


def _check(task: str, approve: str, mode: str, transcript: Path | None) -> None:
    """Raise UsageError for what the command line cannot mean."""
    if approve not in ("ask", "never", "always"):
        raise UsageError(STEP, f"--approve {approve!r} is none of them", "Choose ask, never or always")
    if mode not in ("", "constrained", "native", "text"):
        raise UsageError(STEP, f"--mode {mode!r} is none of them", "Choose constrained, native or text")
    resumes = transcript is not None and transcript.is_file()
    if task and resumes:
        raise UsageError(STEP, f"{transcript} holds a run already", "Leave out the task to go on with it")
    if not task and transcript is not None and not resumes:
        raise UsageError(STEP, f"{transcript} is not there, so there is nothing to go on with", "Give a task")
    if not task and not resumes and not sys.stdin.isatty():
        raise UsageError(STEP, "no task was given", 'Write hearth agent "what to do"')


def _tracing(stack: ExitStack) -> list[Listener]:
    """Spans by OTLP, where the environment names a collector."""
    from agents.trace import configured, tracing

    return [stack.enter_context(tracing())] if configured() else []


def _once(worker: Agent, task: str, transcript: Path | None, shown: Steps) -> RunResult:
    """One task, or the rest of one."""
    if transcript is None:
        return _followed(worker.stream(task), shown)
    from agents.transcript import Transcript

    if not task:
        return _followed(worker.resume_stream(transcript), shown)
    with Transcript(transcript) as kept:
        return _followed(worker.stream(task, listeners=[kept]), shown)


def _followed(events: Iterator[Event], shown: Steps) -> RunResult:
    from agents.events import RunEnded, ThoughtDelta

    result = None
    for event in events:
        if isinstance(event, ThoughtDelta):
            shown.delta(event)
        elif isinstance(event, RunEnded):
            result = event.result
    assert result is not None  # noqa: S101  # every run ends with one
    return result


def _report(result: RunResult, shown: Steps, trace: bool, html: Path | None, json: bool) -> None:
    from agents.calls import as_text
    from agents.outline import cost, outline, text_lines, to_html

    if json:
        print_json({"answer": result.answer, "ended": result.ended, "run_id": result.run_id, "spent": result.spent})
    elif result.ok:
        print_text(as_text(result.answer))
    if html is not None:
        try:
            html.write_text(to_html(shown.events), encoding="utf-8")
        except OSError as error:
            raise UsageError("writing the page", f"{html}: {error.strerror}", "Name another file") from error
    if json:
        return
    if trace:
        print_text("\n".join(text_lines(outline(shown.events))))
    remark(f"{'' if result.ok else f'No answer: its budget ended it ({result.ended}). '}{cost(result.spent)}")


def _talk(worker: Agent, shown: Steps) -> int:
    """Task after task, each going on from the one before, until an empty line or Ctrl-D."""
    from agents.calls import as_text
    from agents.outline import cost

    before: RunResult | tuple[()] = ()
    remark("What is to be done? An empty line ends.")
    while True:
        try:
            task = input("> ").strip()
        except EOFError:
            return 0
        if not task:
            return 0
        before = _followed(worker.stream(task, after=before), shown)
        print_text(as_text(before.answer) if before.ok else f"No answer ({before.ended}).")
        remark(cost(before.spent))
