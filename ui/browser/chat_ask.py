"""Where one writes: the question, files with it, and the button that stops the answer."""

from __future__ import annotations

import streamlit as st

from decoder.errors import UsageError
from ui.browser import jobs, knowledge_begin, knowledge_uploads
from ui.browser.chat_here import Here, ask, configure, put, safely, stop
from ui.browser.chat_store import MOST_QUESTION
from ui.browser.chat_turns import job_line
from ui.browser.job_shown import show_end
from ui.browser.person import person
from ui.browser.settings import ui_settings
from ui.browser.strings import say
from ui.cli import wiring

KEY, JOB = "chat-input", "chat-job"


def show_input(page: Here) -> None:
    """The line at the bottom. The page stays scrolled to its end only if the line stands in no container.

    The stop button always stands there, so that nothing moves when it can be pressed.
    """
    busy = page.running
    with st.bottom:
        _reading()
    st.chat_input(
        say("chat.busy") if busy else say("chat.ask"),
        key=KEY,
        max_chars=MOST_QUESTION,
        max_upload_size=ui_settings().max_upload_mb,
        accept_file="multiple",
        disabled=busy is not None,
        submit_mode="disable",
        on_submit=put,
        args=(_sent, page),
    )
    with st.bottom.container(horizontal=True, horizontal_alignment="right"):
        st.button(
            say("chat.stop"),
            key="chat-stop",
            icon=":material/stop:",
            type="tertiary",
            disabled=busy is None,
            on_click=safely,
            args=(stop, busy),
        )


def _sent(page: Here) -> None:
    sent = st.session_state[KEY]
    question, files = (sent.text or "").strip(), list(sent.files)
    if not files:
        ask(page, question)
        return
    kb = page.kb or f"{person().prefix}{wiring.DEFAULT}"
    job = knowledge_begin.read(kb, knowledge_uploads.keep(files, kb))
    if question:
        ask(page, question, kb, job.id)
    else:
        configure(page, kb, page.settings)
        st.session_state[JOB] = job.id


def _reading() -> None:
    """Files that were attached without a question, as long as they are being read."""
    job_id = st.session_state.get(JOB)
    if not job_id:
        return
    try:
        job = jobs.find(job_id, person().id)
    except UsageError:  # it was removed from the list of jobs
        st.session_state.pop(JOB)
        return
    if job.going:
        _watch(job_id)
        return
    st.session_state.pop(JOB)
    if job.state == "done":
        st.caption(say("chat.read"))
    else:
        show_end(job)


@st.fragment(run_every=1.0)
def _watch(job_id: str) -> None:
    if not any(job.id == job_id and job.going for job in jobs.every(person().id, "index")):
        st.rerun()
    st.caption(job_line(job_id))
