"""Replays a run: nobody is asked, no tool is called, and every event must come out as it was."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ui.browser import agent_runs
from ui.browser.agent_making import agent_for, offered
from ui.browser.agent_spec import spec_of
from ui.browser.jobs import Job

if TYPE_CHECKING:
    from agents.replay import Replayed


def replayed(job: Job) -> Replayed:
    """How many events and prompts came out the same. With MCP servers only the prompts are made again.

    Raises:
        ReplayDiffers: where the run would be another one today; its `diff` shows how.
        TranscriptError: there is no transcript, or it is damaged.
    """
    from agents.errors import TranscriptError
    from agents.replay import replay
    from decoder import ScriptedDecoder
    from ui.browser import opened

    path, spec = agent_runs.transcript_of(job), spec_of(job.spec)
    if path is None:
        raise TranscriptError("replaying a run", "it never began", "Start it anew")
    if spec.mcp:
        return replay(path)
    base = opened.knowledge_base(spec.kb) if spec.kb else None
    with offered(spec, base) as tools, closing(ScriptedDecoder([])) as nobody:
        return replay(path, agent_for(spec, nobody, tools))
