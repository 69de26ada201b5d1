"""Which run the page shows: the one that its address names, else one that is going on, else the form."""

from __future__ import annotations

import streamlit as st

from decoder.errors import HearthError
from ui.browser import agent_runs
from ui.browser.jobs import Job
from ui.browser.problems import show_problem

FORM = "agents-form"


def chosen(person: str) -> Job | None:
    """The run to show; None is the form. A run of somebody else is said not to be there."""
    if run_id := st.query_params.get("run", ""):
        return _named(run_id, person)
    if st.session_state.get(FORM):
        return None
    return next((job for job in agent_runs.every(person) if job.going), None)


def _named(run_id: str, person: str) -> Job | None:
    try:
        return agent_runs.find(run_id, person)
    except HearthError as error:
        show_problem(error)
        return None


def open_run(run_id: str) -> None:
    """Show this run from now on, also after a reload."""
    st.query_params["run"] = run_id


def open_form() -> None:
    """Show the form, although a run may be going on."""
    st.query_params.pop("run", None)
    st.session_state[FORM] = True
