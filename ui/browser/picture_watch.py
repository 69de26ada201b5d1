"""One run on the page: how far it is, its losses and quality, alarms, its pictures over time, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from decoder.errors import UsageError
from decoder.runs.metric_series import Series, read_series
from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.picture_first import start_training
from ui.browser.picture_live import live, show_state
from ui.browser.picture_runs import ENDED, PictureRun, find_run
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

BESIDE = ("/learning_rate", "/grad_norm")
QUALITY = ("eval_fid", "eval_recall", "eval_modes")


def train_jobs() -> dict[str, Job]:
    """This person's newest training job of each run, by the run's id."""
    found: dict[str, Job] = {}
    for job in jobs.every(person().id, "pictures"):
        if job.spec.get("does") == "train":
            found.setdefault(str(job.spec.get("run")), job)
    return found


def show_run(run_id: str) -> None:
    """The run as it is; again and again while a job of ours trains it."""
    job = train_jobs().get(run_id)
    if job is None:
        _show(run_id, None)
    else:
        live(job, lambda now: _show(run_id, now))
    _grids(run_id)


def _show(run_id: str, job: Job | None) -> None:
    run = _found(run_id)
    if job is not None:
        show_state(job, f"pictures-stop-{job.id}")
    elif run is not None and run.status == "killed":
        st.warning(say("pictures.run_killed"), icon=":material/cancel:")
    if job is None or not job.going:
        _next(run_id, run, job)
    if run is None:
        return
    for alarm in run.state.get("alarms") or ():
        st.warning(plain(str(alarm.get("text", alarm) if isinstance(alarm, dict) else alarm)), icon=":material/alarm:")
    _figures(run)


def _found(run_id: str) -> PictureRun | None:
    try:
        return find_run(run_id, person().prefix, person().admin)
    except UsageError:
        return None  # its job has not made the folder yet, or never came to it


def _next(run_id: str, run: PictureRun | None, job: Job | None) -> None:
    """Draw from it when it has finished, or go on with it."""
    if run is not None and run.status in ENDED:
        with st.container(horizontal=True):
            st.button(
                say("pictures.draw_with"), type="primary", icon=":material/brush:", key="pictures-draw-with",
                on_click=_draw_with, args=(run_id,),
            )  # fmt: skip
            report = run.folder.path / "report.html"
            if report.is_file():
                st.download_button(
                    say("pictures.report"), report.read_bytes(), f"{run.name}-report.html", "text/html",
                    icon=":material/download:", key="pictures-run-report", on_click="ignore",
                )  # fmt: skip
        return
    if st.button(say("pictures.resume"), type="primary", icon=":material/play_arrow:", key="pictures-resume"):
        name = run.name if run is not None else run_id.partition(":")[2]
        spec = dict(job.spec) if job is not None else {"does": "train", "run": run_id, "name": name}
        with problems_shown():
            start_training({**spec, "resume": True}, say("pictures.training", name=name))


def _draw_with(run_id: str) -> None:
    st.session_state["pictures-model"], st.session_state["pictures-view"] = run_id, "draw"


def _figures(run: PictureRun) -> None:
    """Losses and quality as curves, each with its figures as a table."""
    series = read_series(run.folder.metrics_file)
    losses = {name: each for name, each in series.items() if "/" in name and not name.endswith(BESIDE)}
    looked_at = {name: each for name, each in series.items() if name.startswith("eval_")}
    if not losses and not looked_at:
        return
    left, right = st.columns(2)
    with left:
        _curves(say("pictures.losses"), losses)
    with right:
        shown = {name: each for name, each in looked_at.items() if name in QUALITY and len(each.steps) > 1} or looked_at
        _curves(say("pictures.quality"), shown)
    rows = [
        {say("pictures.figure"): name, say("pictures.first"): each.first, say("pictures.latest"): each.last,
         say("pictures.at_step"): each.steps[-1]}
        for name, each in {**losses, **looked_at}.items()
    ]  # fmt: skip
    with st.expander(say("pictures.as_table")):
        st.dataframe(rows, hide_index=True, width="stretch", alt=say("pictures.as_table"))


def _curves(title: str, shown: Mapping[str, Series]) -> None:
    if not shown:
        return
    st.markdown(f"**{title}**")
    rows: list[dict[str, Any]] = [
        {"step": step, "figure": name, "value": value}
        for name, each in shown.items()
        for step, value in zip(each.steps, each.means, strict=True)
    ]
    draw = st.line_chart if any(len(each.steps) > 1 for each in shown.values()) else st.scatter_chart
    draw(
        _columns(rows), x="step", y="value", color="figure", height=240, x_label=say("pictures.step_label"),
        y_label="", alt=title,
    )  # fmt: skip


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in rows] for key in ("step", "figure", "value")}


def _grids(run_id: str) -> None:
    """The sample grids over the run: the same noise and conditions, step by step."""
    run = _found(run_id)
    grids = dict(run.grids()) if run is not None else {}
    if not grids:
        return
    st.subheader(say("pictures.over_time"))
    steps = list(grids)
    step = steps[-1]
    if len(steps) > 1:
        key = f"pictures-grid-{run_id}"
        if st.session_state.get(key) not in steps:
            st.session_state[key] = steps[-1]
        step = st.select_slider(say("pictures.grid_step"), steps, key=key)
    st.image(grids[step].read_bytes(), caption=say("pictures.grid_of", step=f"{step:,}"))
