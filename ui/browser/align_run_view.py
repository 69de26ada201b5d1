"""Training runs: watched as they go, stopped, gone on with; each ends with the way to what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from ui.browser import align_runs, job_shown, jobs
from ui.browser.align_runs import Run
from ui.browser.align_steps import go
from ui.browser.person import person
from ui.browser.problems import live, problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

EVERY = 2.0
CHARTS = (("loss", "eval_loss"), ("reward", "kl"), ("rewards/accuracies", "accuracy"))
"""Figures that are drawn, two beside each other."""
ICONS = {
    "preparing": ":material/hourglass_top:",
    "running": ":material/progress_activity:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "killed": ":material/cancel:",
}
MOST_REPORT = 20 << 20


def show() -> None:
    """Choose a run, and see it."""
    runs = align_runs.every()
    if not runs:
        st.info(say("alignment.no_runs"), icon=":material/monitoring:")
        if st.button(say("alignment.to_train"), type="primary", key="align_to_train", icon=":material/tune:"):
            go("train")
        return
    by_key = {run.key: run for run in runs}
    if st.session_state.get("align_run") not in by_key:
        st.session_state["align_run"] = runs[0].key
    key = st.selectbox(
        say("alignment.run"), list(by_key), key="align_run", format_func=lambda each: _label(by_key[each])
    )
    going = by_key[key].going
    live(_watch, EVERY if going else None)(key, going)


def _label(run: Run) -> str:
    """Nothing that changes while it goes, since a control keeps the words that it was chosen by."""
    return f"{run.name} · {run.stage}"


def _watch(key: str, went: bool) -> None:
    run = align_runs.find(key)
    if run is None:
        return
    if went and not run.going:
        st.rerun()
    st.subheader(f"{ICONS[run.state]} {plain(run.name)} · {say(f'alignment.state_{run.state}')}")
    _progress(run)
    _next(run)
    for alarm in align_runs.alarms(run.folder):
        st.warning(plain(alarm), icon=":material/warning:")
    _charts(run)
    _samples(run)
    _facts(run)


def _progress(run: Run) -> None:
    step, total, left = align_runs.progress(run)
    if run.state == "preparing":
        words = say("alignment.preparing")
    elif total:
        words = say("alignment.step_of", step=f"{step:,}", total=f"{total:,}")
    else:
        words = say("alignment.step", step=f"{step:,}")
    if run.going and left is not None:
        words += " · " + say("alignment.left", time=job_shown.duration(left))
    st.progress(min(step / total, 1.0) if total else 0.0, text=words)


def _next(run: Run) -> None:
    """The one obvious thing to do with it now."""
    if run.going:
        if run.job is not None and run.job.going:
            job_shown.stop_button(run.job, f"align_stop_{run.job.id}")
        else:
            st.caption(say("alignment.elsewhere"))
        return
    if run.state == "finished":
        _finished(run)
        return
    if run.state == "killed":
        st.warning(say("alignment.was_killed"), icon=ICONS["killed"])
    elif run.state == "stopped" and run.folder.checkpoints():
        st.info(say("alignment.was_stopped", step=f"{align_runs.progress(run)[0]:,}"), icon=ICONS["stopped"])
    elif run.job is not None and run.job.error:
        job_shown.show_end(run.job)
    elif run.noted.get("error"):
        st.info(plain(str(run.noted["error"])), icon=ICONS[run.state])
    elif run.job is not None:
        job_shown.show_end(run.job)
    if run.resumable and st.button(
        say("alignment.resume" if run.folder.checkpoints() else "alignment.again"),
        type="primary",
        key="align_resume",
        icon=":material/resume:",
    ):
        with problems_shown():
            resume(run)
            st.rerun()


def _finished(run: Run) -> None:
    artefact = str(run.noted.get("artefact") or "")
    if artefact and st.button(
        say("alignment.to_model"), type="primary", key="align_to_model", icon=":material/rocket_launch:"
    ):
        go("models", align_artefact=artefact)
    if run.stage == "constitution":
        st.caption(say("alignment.made_data", folder=plain(str(run.folder.path))))


def resume(run: Run) -> None:
    """Go on from the last whole checkpoint, in the same folder. Raises UsageError, ServiceError."""
    spec = {"recipe": align_runs.recipe_values(run), "output": run.key, "resume": True}
    jobs.start("align", run.name, spec, person().id)


def _charts(run: Run) -> None:
    names = [name for pair in CHARTS for name in pair]
    found = align_runs.curves(run.folder, names)
    pairs = [[name for name in pair if name in found] for pair in CHARTS]
    shown = [pair for pair in pairs if pair]
    if not shown:
        with st.container(height=260, border=True):
            st.caption(say("alignment.no_figures" if run.going else "alignment.never_figures"))
        return
    for pair in shown:
        for column, name in zip(st.columns(2), pair, strict=False):
            with column:
                st.caption(f"**{plain(name)}** · {found[name][-1][name]:.4g}")
                draw = st.line_chart if len(found[name]) > 1 else st.scatter_chart  # a line through one point is none
                draw(found[name], x="step", y=name, x_label=say("alignment.steps"), y_label=name, height=220)
    with st.expander(say("alignment.figures")):
        for pair in shown:
            for column, name in zip(st.columns(2), pair, strict=False):
                column.dataframe(found[name][::-1], hide_index=True, height=200, width="stretch")


def _samples(run: Run) -> None:
    found = align_runs.samples(run.folder)
    if not found:
        return
    with st.expander(say("alignment.samples", step=found[0].get("step", 0)), expanded=True):
        for sample in found:
            st.caption(say("alignment.sample_prompt"))
            st.code(str(sample.get("prompt", ""))[-2000:], language=None, wrap_lines=True)
            st.caption(say("alignment.sample_answer"))
            st.code(str(sample.get("response", ""))[:2000] or " ", language=None, wrap_lines=True)


def _facts(run: Run) -> None:
    metrics: dict[str, Any] = run.noted.get("metrics") or {}
    heads = say("alignment.fact"), say("alignment.value")
    numbers = [(name, f"{value:.4g}") for name, value in metrics.items() if isinstance(value, (int, float))]
    with st.expander(say("alignment.details")):
        facts = [(say("alignment.folder"), run.key), *numbers]
        st.dataframe([dict(zip(heads, fact, strict=True)) for fact in facts], hide_index=True, width="stretch")
        reports(run.name, align_runs.report_files(run), "run")


def reports(name: str, files: list[Path], key: str) -> None:
    """Reports to take along; they are never shown as HTML here."""
    for file in files:
        try:
            content = file.read_bytes() if file.stat().st_size <= MOST_REPORT else b""
        except OSError:
            continue
        kind = file.suffix.lstrip(".")
        if content:
            st.download_button(
                say(f"alignment.report_{kind}"), content, f"{name}-report.{kind}", key=f"align_report_{key}_{kind}",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
