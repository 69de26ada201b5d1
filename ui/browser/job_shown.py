"""A job on a page: what it is, how far it has come, how it ended, and the buttons that stop and remove it."""

from __future__ import annotations

import time

import streamlit as st

from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.safe_text import plain
from ui.browser.strings import say

ICONS = {
    "starting": ":material/hourglass_top:",
    "running": ":material/progress_activity:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "stopped": ":material/stop_circle:",
    "killed": ":material/cancel:",
}


def headline(job: Job) -> str:
    """Its title and state as a line of Markdown."""
    seconds = (job.ended or time.time()) - job.started
    took = f" · {duration(seconds)}" if job.going or job.ended else ""
    return f"{ICONS[job.state]} **{plain(job.title)}** · {say(f'jobs.{job.state}')}{took}"


def duration(seconds: float) -> str:
    """As in "42 s", "3 min 5 s", "2 h 10 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def show_end(job: Job) -> None:
    """How it ended, where that is no success: the error with its remedy, or that it was killed; and its output."""
    if job.state == "killed":
        st.warning(say("jobs.was_killed"), icon=ICONS["killed"])
    elif job.state in ("failed", "stopped") and job.error:
        show = st.error if job.state == "failed" else st.info
        show(plain(f"{job.error.get('step', '')}: {job.error.get('cause', '')}"), icon=ICONS[job.state])
        if remedy := job.error.get("remedy"):
            st.caption(say("app.remedy", remedy=plain(remedy)))
    if job.state in ("failed", "killed") and (printed := jobs.output(job)):
        with st.expander(say("jobs.output")):
            st.code(printed, language=None)


def stop_button(job: Job, key: str) -> None:
    """A button that asks the job to end; once it was pressed, one that ends it at once."""
    asked = f"{key}-asked"
    if not st.session_state.get(asked):
        if st.button(say("jobs.stop"), key=key, icon=":material/stop:"):
            jobs.stop(job)
            st.session_state[asked] = True
            st.rerun()
    elif st.button(say("jobs.kill"), key=f"{key}-kill", icon=":material/cancel:", help=say("jobs.kill_help")):
        jobs.kill(job)
