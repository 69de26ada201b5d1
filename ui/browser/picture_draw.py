"""Draw: a model is chosen, asked for pictures, and watched while it draws them."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from generators.settings import generator_settings
from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.picture_draw_form import pipeline_form, run_form
from ui.browser.picture_draw_job import PREVIEW
from ui.browser.picture_first import show_first
from ui.browser.picture_gallery import gallery_of, owner_of
from ui.browser.picture_live import live, newest, show_state
from ui.browser.picture_made import enlarged
from ui.browser.picture_models import drawn_by
from ui.browser.picture_runs import PictureRun, every_run
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

PIPELINE = "pipeline"
SIDE = 96
"""Pixels of each picture's side where several were drawn; as many stand in a row as there is room for."""


def show_draw() -> None:
    """The form beside what was drawn last."""
    who = person()
    runs = {run.id: run for run in every_run(who.prefix, who.admin) if run.finished}
    if not runs and not generator_settings().model and not st.session_state.get("pictures-use-pipeline"):
        show_first()
        if who.admin and st.button(
            say("pictures.have_pipeline"), key="pictures-have-pipeline", icon=":material/folder_open:"
        ):
            st.session_state["pictures-use-pipeline"] = True
            st.rerun()
        return
    form, drawn = st.columns([2, 3], gap="large")
    with form, problems_shown():
        _form(runs, who.admin)
    with drawn:
        _drawn()


def _form(runs: dict[str, PictureRun], admin: bool) -> None:
    choices = [*runs, *([PIPELINE] if admin else [])]
    if st.session_state.get("pictures-model") not in choices:
        st.session_state.pop("pictures-model", None)
    chosen = st.selectbox(
        say("pictures.model"),
        choices,
        format_func=lambda each: say("pictures.pipeline") if each == PIPELINE else _called(runs[each]),
        key="pictures-model",
    )
    if chosen == PIPELINE:
        asked = pipeline_form()
    else:
        with st.spinner(say("pictures.reading_model")):
            about = drawn_by(runs[chosen].folder)
        asked = run_form(chosen, about)
    if st.button(say("pictures.draw_now"), type="primary", icon=":material/brush:", key="pictures-draw"):
        _start(asked, runs)


def _called(run: PictureRun) -> str:
    return say("pictures.run_called", name=run.name, family=run.family)


def _start(asked: dict[str, Any], runs: dict[str, PictureRun]) -> None:
    """Start the job that draws. Raises UsageError, ServiceError, ImageError."""
    who = person()
    owner = owner_of(who.id)
    for name in ("image", "mask"):
        uploaded = asked.pop(f"{name}_bytes", None)
        if uploaded is not None:
            asked[name] = gallery_of(owner).keep_input(uploaded)
    named = runs[asked["run"]].name if asked["from"] == "run" else asked["prompt"][:60]
    jobs.start("draw", say("pictures.drawing", name=named), {**asked, "does": "draw", "owner": owner}, who.id)
    st.rerun()


def _drawn() -> None:
    job = newest("draw", ("draw",))
    st.subheader(say("pictures.last_drawn"))
    if job is None:
        st.caption(say("pictures.nothing_drawn"))
        return
    with st.container(height=560, border=True):
        live(job, _show_job)


def _show_job(job: Job) -> None:
    show_state(job, f"pictures-stop-{job.id}")
    gallery = gallery_of(owner_of(person().id))
    there = set(gallery.every())
    ids = [name for name in job.progress.get("pictures") or () if name in there]
    if ids:
        st.caption(say("pictures.in_gallery"))
        with st.container(horizontal=True, gap="small"):
            for name in ids:
                title = say("pictures.picture_number", number=int(name[-3:]) + 1)
                width: int | Literal["content"] = SIDE if len(ids) > 1 else "content"
                st.image(enlarged(gallery.file(name).read_bytes()), width=width, alt=title)
    elif job.going and (job.folder / PREVIEW).is_file():
        st.image((job.folder / PREVIEW).read_bytes(), width="stretch", caption=plain(say("pictures.preview")))
