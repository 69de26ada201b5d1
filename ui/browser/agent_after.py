"""What can be done with a run that is over: go on with it, replay it, fork it, take it along, remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from decoder import tiny
from decoder.errors import UsageError
from ui.browser import agent_runs
from ui.browser.agent_cards import steps_done
from ui.browser.agent_choice import open_form, open_run
from ui.browser.agent_replay import replayed
from ui.browser.agent_spec import spec_of
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.problems import problems_shown
from ui.browser.strings import say

if TYPE_CHECKING:
    from agents.transcript import Recording


def show_after(job: Job) -> None:
    """The buttons below a run that is over; the first of them is the obvious one."""
    with problems_shown():
        recording = agent_runs.recording(job)
        with st.container(horizontal=True):
            if recording is not None and recording.ended is None:
                st.button(
                    say("agents.go_on"),
                    key="agents-go-on",
                    type="primary",
                    icon=":material/resume:",
                    help=say("agents.go_on_help"),
                    on_click=_go_on,
                    args=(job,),
                )
            st.button(
                say("agents.new"),
                key="agents-new",
                type="primary" if recording is not None and recording.ended is not None else "secondary",
                icon=":material/add:",
                on_click=open_form,
            )
            replay = recording is not None and st.button(
                say("agents.replay"), key="agents-replay", icon=":material/replay:", help=say("agents.replay_help")
            )
        if replay:
            _replay(job)
        if recording is not None:
            _fork(job, recording)
            _keep_or_remove(job, recording)
        else:
            _remove(job)


def _go_on(job: Job) -> None:
    with problems_shown():
        check_may(job)
        open_run(agent_runs.go_on(job).id)


def check_may(job: Job) -> None:
    """Raises UsageError for a run with what admins alone may name, of somebody who is none any more."""
    spec = spec_of(job.spec)
    named = spec.embedded not in ("", tiny.NAME)  # hearth-tiny is everybody's
    if (spec.mcp or spec.base_url or named) and not person().admin:
        cause = "it uses a server, a model's folder or programs that admins alone may name"
        raise UsageError("going on with a run", cause, "Start it anew without them")


def _replay(job: Job) -> None:
    from agents.errors import ReplayDiffers
    from ui.browser.problems import show_problem

    with st.spinner(say("agents.replaying")):
        try:
            found = replayed(job)
        except ReplayDiffers as error:
            show_problem(error)
            if error.diff:
                st.code(error.diff, language="diff", wrap_lines=True)
            return
    st.success(say("agents.verified", events=found.events, prompts=found.prompts), icon=":material/verified:")


def _fork(job: Job, recording: Recording) -> None:
    answered = recording.ended is not None and recording.ended.result.ok
    last = steps_done(recording.events) - answered
    with st.expander(say("agents.fork"), icon=":material/fork_right:"):
        st.caption(say("agents.fork_help"))
        step = 0
        if last > 0:
            step = st.slider(say("agents.fork_step"), 0, last, last, key=f"agents-fork-step-{job.id}")
        task = st.text_area(
            say("agents.fork_task"), recording.started.task, key=f"agents-fork-task-{job.id}", max_chars=20_000
        )
        if st.button(say("agents.fork_start"), key="agents-fork", icon=":material/fork_right:"):
            check_may(job)
            open_run(agent_runs.fork(job, step, task).id)
            st.rerun()


def _keep_or_remove(job: Job, recording: Recording) -> None:
    from agents.outline import to_html

    path = agent_runs.transcript_of(job)
    with st.container(horizontal=True):
        st.download_button(
            say("agents.transcript"),
            path.read_bytes() if path is not None else b"",
            f"run-{job.id}.jsonl",
            "application/jsonl",
            key="agents-transcript",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            say("agents.html"),
            to_html(recording.events).encode("utf-8", "replace"),
            f"run-{job.id}.html",
            "text/html",
            key="agents-html",
            icon=":material/download:",
            on_click="ignore",
        )
        _remove(job)


def _remove(job: Job) -> None:
    with st.popover(say("agents.remove"), icon=":material/delete:"):
        st.caption(say("agents.remove_help"))
        st.button(say("agents.remove_yes"), key="agents-remove", on_click=_removed, args=(job,))


def _removed(job: Job) -> None:
    with problems_shown():
        agent_runs.remove(job)
        open_form()
