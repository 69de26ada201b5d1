"""All jobs of a person: what runs, what ended and how, with the buttons that stop and remove them."""

from __future__ import annotations

import time

import streamlit as st

from ui.browser import jobs
from ui.browser.job_kinds import KINDS
from ui.browser.job_shown import headline, show_end, stop_button
from ui.browser.jobs import Job
from ui.browser.problems import live, problems_shown
from ui.browser.strings import say

EVERY = 2.0
MOST = 30
HEIGHT, FEW = 420, 2


def show_jobs(person_id: str) -> None:
    """The newest first."""
    found = jobs.every(person_id)
    if not found:
        st.caption(say("health.no_jobs"))
        return
    going = any(job.going for job in found)
    live(_show, EVERY if going else None)(person_id, going)


def _show(person_id: str, polling: bool) -> None:
    found = jobs.every(person_id)
    if polling and not any(job.going for job in found):
        st.rerun()
    with st.container(height=HEIGHT if len(found) > FEW else "content", border=True):
        for number, job in enumerate(found[:MOST]):
            if number:
                st.divider()
            _job(job)
    if len(found) > MOST:
        st.caption(say("health.more_jobs", count=len(found) - MOST))


def _job(job: Job) -> None:
    st.markdown(headline(job))
    kind = say(f"health.kind_{job.kind}") if job.kind in KINDS else "–"
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started))
    st.caption(say("health.job_line", kind=kind, began=began))
    show_end(job)
    if job.going:
        stop_button(job, f"health-job-{job.id}")
    elif st.button(say("health.remove"), key=f"health-remove-{job.id}", icon=":material/delete:"):
        with problems_shown():
            jobs.remove(job)
            st.rerun()
