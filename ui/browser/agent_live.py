"""A run on the page, while it happens and afterwards: its cost at one place, its cards, and what waits for a yes."""

from __future__ import annotations

import time

import streamlit as st

from ui.browser import agent_asking, agent_runs
from ui.browser.agent_asking import Ask
from ui.browser.agent_cards import Card, call_json, cards
from ui.browser.agent_reason import told
from ui.browser.agent_shown import ICONS, show_cards
from ui.browser.agent_spec import spec_of
from ui.browser.agent_status import line
from ui.browser.job_shown import duration, headline, show_end, stop_button
from ui.browser.jobs import Job
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

EVERY = 0.6


def show_run(job: Job) -> None:
    """The run; a fragment while it goes on, so that only this part is drawn again."""
    if job.going:
        _live(job.id, job.person)
    else:
        _show(job)


@st.fragment(run_every=EVERY)
def _live(job_id: str, person: str) -> None:
    with problems_shown():
        job = agent_runs.find(job_id, person)
        if not job.going:
            st.rerun()
        _show(job)


def _show(job: Job) -> None:
    recording = agent_runs.recording(job)
    st.markdown(headline(job))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(line(job, recording), width="stretch")
        if job.going:
            stop_button(job, f"agents-stop-{job.id}")
    task = recording.started.task if recording is not None else spec_of(job.spec).task
    with st.container(border=True, gap="small"):
        st.markdown(f":material/task_alt: **{say('agents.card_task')}**")
        st.text(task or job.title)
    ask = agent_asking.pending(job.folder) if job.going else None
    if recording is not None:
        show_cards(_before(cards(recording.events), ask))
    if job.going:
        _now(job, ask)
    else:
        show_end(job)


def _before(shown: list[Card], ask: Ask | None) -> list[Card]:
    """All but the call that is asked about, which is shown whole with its buttons."""
    if ask is None:
        return shown
    shown = shown[:-1] if shown and shown[-1].kind == "asked" else shown
    same = shown and shown[-1].kind == "action" and shown[-1].text == call_json(ask.arguments)
    return shown[:-1] if same else shown


def _now(job: Job, ask: Ask | None) -> None:
    """What happens at this moment: a call that waits for a yes, or a thought as it is written."""
    if ask is not None:
        _approval(job, ask)
    elif thought := str(job.progress.get("thought") or ""):
        with st.container(border=True, gap="small"):
            st.markdown(f"{ICONS['thought']} **{say('agents.thinking')}**")
            st.text(thought)
    else:
        st.caption(f":material/hourglass_top: {say('agents.working')}")


def _approval(job: Job, ask: Ask) -> None:
    """The whole call and two buttons, whose keys hold for this one call."""
    with st.container(border=True, key=f"agents-ask-{ask.nonce}"):
        st.subheader(say(f"agents.may_{ask.effect}", tool=plain(ask.tool)), anchor=False)
        reason = plain(told(ask.tool, ask.effect, ask.reason))
        if remarks := [each for each in (reason, say("agents.tainted") if ask.untrusted else "") if each]:
            st.caption(" · ".join(remarks))
        st.code(call_json(ask.arguments), language=None, wrap_lines=True)
        with st.container(horizontal=True):
            choices = (("approve", say("agents.approve"), True), ("refuse", say("agents.refuse"), False))
            for name, label, approved in choices:
                st.button(
                    label,
                    key=f"agents-{name}-{ask.nonce}",
                    icon=ICONS["approved" if approved else "refused"],
                    on_click=_answered,
                    args=(job.id, job.person, ask.nonce, approved),
                )
        st.caption(say("agents.waits", time=duration(ask.until - time.time())))


def _answered(job_id: str, person: str, nonce: str, approved: bool) -> None:
    with problems_shown():
        agent_asking.answer(agent_runs.find(job_id, person).folder, nonce, approved)
