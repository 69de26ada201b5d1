"""What a run has cost up to now, against what it may cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agents.budget import Budget, Meter
from agents.events import Resumed, Spent
from agents.resume import spent_by
from ui.browser.agent_cards import steps_done
from ui.browser.agent_spec import spec_of
from ui.browser.job_shown import duration
from ui.browser.jobs import Job
from ui.browser.strings import say

if TYPE_CHECKING:
    from agents.transcript import Recording


def spent_of(job: Job, recording: Recording | None) -> tuple[int, int, float]:
    """Steps, tokens and seconds. While it runs, and when it was killed, they are what its events tell."""
    if recording is None:
        return 0, 0, _since(job)
    if recording.ended is not None:
        spent = recording.ended.result.spent
        return spent.steps, spent.tokens, spent.seconds
    spent = _told(recording)
    return steps_done(recording.events), spent.tokens, _seconds(job, recording, spent)


def line(job: Job, recording: Recording | None) -> str:
    """Steps, tokens and time against the budget, on one line of Markdown."""
    spec, (steps, tokens, seconds) = spec_of(job.spec), spent_of(job, recording)
    parts = [
        say("agents.spent_steps", steps=steps, most=spec.steps),
        say("agents.spent_tokens", tokens=f"{tokens:,}", most=f"{spec.tokens:,}"),
        say("agents.spent_seconds", seconds=duration(seconds), most=duration(spec.seconds)),
    ]
    return " · ".join(parts)


def _seconds(job: Job, recording: Recording, spent: Spent) -> float:
    if not job.going:
        return spent.seconds
    resumed = [number for number, event in enumerate(recording.events) if isinstance(event, Resumed)]
    before = spent_by(recording.events[: resumed[-1]], Meter(Budget())).seconds if resumed else 0.0
    return before + _since(job)


def _told(recording: Recording) -> Spent:
    return spent_by(recording.events, Meter(Budget()))


def _since(job: Job) -> float:
    began = job.progress.get("began")
    return max(0.0, time.time() - began) if job.going and isinstance(began, float) else 0.0
