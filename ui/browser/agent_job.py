"""The job "agent": a run of an agent, its transcript in the job's folder, its approvals asked for there."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from decoder.errors import ConstraintIgnored, ConstraintRefused, UsageError
from ui.browser import jobs
from ui.browser.agent_asking import asker
from ui.browser.agent_making import agent_for, decoder_choice, offered
from ui.browser.agent_runs import TRANSCRIPT, taken_over, transcript_of
from ui.browser.agent_spec import STEP, AgentSpec, spec_of
from ui.browser.job_process import Running
from ui.browser.settings import ui_settings
from ui.cli import wiring

if TYPE_CHECKING:
    from agents import Agent, Event

AS_TEXT = "Use a server that enforces them (vLLM), or choose under More to ask for actions as text"
LONGEST_THOUGHT = 4_000
"""Characters of a thought that are shown while it is written; the end of it, if it is longer."""


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Run, go on with, or fork a run. Gives how it ended. Raises what an agent raises, and UsageError."""
    asked = spec_of(spec)
    decoder = wiring.find_decoder(decoder_choice(asked))
    if decoder is None:
        raise UsageError(STEP, "an agent needs a decoder", "Start one on the page Health, or with `hearth serve`")
    with ExitStack() as stack:
        stack.enter_context(closing(decoder))
        base = stack.enter_context(closing(wiring.open_knowledge_base(asked.kb, decoder))) if asked.kb else None
        tools = stack.enter_context(offered(asked, base))
        agent = agent_for(asked, decoder, tools, asker(job.folder, 60.0 * ui_settings().approval_minutes))
        job.tell(now=True, began=time.time())
        events = stack.enter_context(closing(_happening(agent, asked, job)))
        try:
            return _followed(events, job)
        except (ConstraintIgnored, ConstraintRefused) as error:
            raise type(error)(error.step, error.cause, AS_TEXT) from error


def _happening(agent: Agent, asked: AgentSpec, job: Running) -> Generator[Event]:
    """The run's events; all but pieces of thoughts are in its transcript before they come."""
    from agents.transcript import Transcript

    own = job.folder / TRANSCRIPT
    if asked.resume:
        yield from agent.resume_stream(taken_over(jobs.find(asked.resume, asked.person), job.folder))
    elif asked.fork:
        shared = transcript_of(jobs.find(asked.fork, asked.person))
        if shared is None:
            raise UsageError("forking a run", "it never began", "Start it anew")
        yield from agent.fork_stream(shared, asked.fork_step, task=asked.task or None, to=own)
    else:
        with Transcript(own) as kept:
            yield from agent.stream(asked.task, listeners=[kept])


def _followed(events: Iterable[Event], job: Running) -> Mapping[str, Any]:
    """Tells of thoughts as they are written, until the run ends."""
    from agents.events import RunEnded, ThoughtDelta

    thought = ""
    for event in events:
        if isinstance(event, ThoughtDelta):
            thought = (thought + event.text)[-LONGEST_THOUGHT:]
            job.tell(thought=thought, step=event.step)
        elif thought:
            thought = ""
            job.tell(now=True, thought="")
        if isinstance(event, RunEnded):
            return {"ended": event.result.ended, "ok": event.result.ok}
    raise AssertionError("a run ended without RunEnded and without an error")
