"""The first model: what a person is offered who has none yet."""

from __future__ import annotations

import streamlit as st

from ui.browser import jobs
from ui.browser.person import person
from ui.browser.picture_live import live, newest, show_state
from ui.browser.picture_recipes import FIRST, FIRST_OVERRIDES
from ui.browser.picture_runs import new_run_id
from ui.browser.problems import problems_shown
from ui.browser.strings import say

NAME = "first-model"


def show_first() -> None:
    """The way to a first model, or how far its training is."""
    job = newest("pictures", ("train",), first=True)
    if job is not None and job.state != "done":
        st.subheader(say("pictures.first_title"))
        live(job, lambda now: show_state(now, "pictures-first-stop"))
        if not job.going and st.button(
            say("pictures.resume"), key="pictures-first-resume", icon=":material/play_arrow:", type="primary"
        ):
            start_training({**job.spec, "resume": True}, job.title)
        return
    st.subheader(say("pictures.first_title"))
    st.write(say("pictures.first_why"))
    if st.button(say("pictures.first_train"), type="primary", icon=":material/model_training:", key="pictures-first"):
        spec = {"does": "train", "recipe": FIRST, "overrides": list(FIRST_OVERRIDES), "first": True, "name": NAME}
        with problems_shown():
            start_training({**spec, "run": new_run_id(NAME, person().prefix)}, say("pictures.training", name=NAME))


def start_training(spec: dict[str, object], title: str) -> None:
    """Start a training job and look at it. Raises UsageError, ServiceError."""
    jobs.start("pictures", title, spec, person().id)
    st.session_state["pictures-run-next"] = spec["run"]
    st.rerun()
