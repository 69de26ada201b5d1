"""A job that is looked at while it runs: drawn anew each second until it ends, then once more with the whole page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from ui.browser import jobs, problems
from ui.browser.job_shown import duration, headline, show_end, stop_button
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.strings import say

EVERY = 1.0


def live(job: Job, body: Callable[[Job], None]) -> None:
    """`body` of the job as it is; again and again while it runs."""
    if not job.going:
        body(job)
        return

    def looked_at() -> None:
        now = jobs.find(job.id, person().id)
        if not now.going:
            st.rerun()  # before anything is drawn, since a button drawn here would be gone when it is pressed
        body(now)

    problems.live(looked_at, EVERY)()


def show_state(job: Job, key: str) -> None:
    """What it is, how far it has come, and the button that stops it; how it ended."""
    st.markdown(headline(job))
    if job.going:
        share = job.progress.get("share")
        st.progress(min(max(float(share or 0.0), 0.0), 1.0), text=_doing(job.progress))
        stop_button(job, key)
    else:
        show_end(job)


def newest(kind: str, does: tuple[str, ...], **wanted: Any) -> Job | None:
    """This person's newest job of a kind that does one of these things, with these values in its spec."""
    for job in jobs.every(person().id, kind):
        if job.spec.get("does") in does and all(job.spec.get(name) == value for name, value in wanted.items()):
            return job
    return None


def _doing(progress: Any) -> str:
    """One line of Markdown with nothing in it that a person or a model wrote."""
    doing, words = progress.get("doing"), []
    if doing == "drawing":
        words.append(say("pictures.doing_drawing"))
        if progress.get("steps"):
            words.append(say("pictures.step_of", step=progress["step"], steps=progress["steps"]))
    elif doing == "training":
        words.append(say("pictures.step", step=f"{progress.get('step', 0):,}"))
        if progress.get("budget"):
            words.append(
                say("pictures.seconds_of", spent=f"{progress['spent']:.0f}", budget=f"{progress['budget']:.0f}")
            )
        if progress.get("left") is not None:
            words.append(say("pictures.left", time=duration(progress["left"])))
    elif doing == "comparing":
        words.append(say("pictures.doing_comparing"))
    else:
        words.append(say("pictures.doing_preparing"))
    return " · ".join(words)
