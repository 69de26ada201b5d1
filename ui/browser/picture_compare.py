"""Compare: recipes on one budget, or finished runs, held against each other in one report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from decoder.errors import UsageError
from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.picture_comparison import Comparison, every_comparison
from ui.browser.picture_live import live, newest, show_state
from ui.browser.picture_recipes import shipped
from ui.browser.picture_runs import every_run, new_run_id
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

USUAL = ("vae-digits-conditional", "ddpm-digits")
MOST_SEEDS = 5


def show_compare() -> None:
    """What is being compared, what was, and the form of a new comparison."""
    job = newest("pictures", ("compare",))
    if job is not None and job.state != "done":
        live(job, _show_job)
        if not job.going and st.button(
            say("pictures.resume"), type="primary", icon=":material/play_arrow:", key="pictures-compare-resume"
        ):
            with problems_shown():
                jobs.start("pictures", job.title, job.spec, person().id)
                st.rerun()
    kept = every_comparison(person().prefix)
    if kept:
        _show(kept)
    with st.expander(say("pictures.new_comparison"), icon=":material/add:", expanded=not kept), problems_shown():
        _form()


def _show_job(job: Job) -> None:
    show_state(job, f"pictures-stop-{job.id}")
    if job.going and job.progress.get("line"):
        st.caption(plain(str(job.progress["line"])))


def _form() -> None:
    """What is to be compared. Raises UsageError, ServiceError."""
    who = person()
    kind = st.radio(
        say("pictures.compare_what"),
        ["recipes", "runs"],
        format_func={"recipes": say("pictures.compare_recipes"), "runs": say("pictures.compare_runs")}.__getitem__,
        key="pictures-compare-kind",
        horizontal=True,
    )
    spec: dict[str, Any] = {"does": "compare"}
    if kind == "recipes":
        spec |= _recipes_asked()
    else:
        runs = {run.id: run for run in every_run(who.prefix, who.admin) if run.finished}
        spec["runs"] = st.multiselect(
            say("pictures.compare_runs"), list(runs), format_func=lambda each: runs[each].name,
            key="pictures-compare-runs", help=say("pictures.compare_runs_help"),
        )  # fmt: skip
    if st.button(say("pictures.compare_start"), type="primary", icon=":material/compare:", key="pictures-compare"):
        chosen = spec.get("runs") or spec.get("recipes") or []
        if len(chosen) < 2:
            raise UsageError("comparing", "fewer than two are chosen", "Choose two or more")
        spec["run"] = new_run_id("compared", who.prefix)
        jobs.start("pictures", say("pictures.comparing", count=len(chosen)), spec, who.id)
        st.rerun()


def _recipes_asked() -> dict[str, Any]:
    names = [each.name for each in shipped() if each.name.endswith("-digits") or "conditional" in each.name]
    recipes = st.multiselect(
        say("pictures.compare_recipes"), names, [name for name in USUAL if name in names],
        key="pictures-compare-recipes", help=say("pictures.compare_recipes_help"),
    )  # fmt: skip
    left, right = st.columns(2)
    seconds = left.number_input(
        say("pictures.budget"), 1.0, value=60.0, key="pictures-compare-seconds", help=say("pictures.budget_help")
    )
    seeds = right.number_input(
        say("pictures.seeds"), 1, MOST_SEEDS, key="pictures-compare-seeds", help=say("pictures.seeds_help")
    )
    study = st.toggle(say("pictures.study"), key="pictures-study", help=say("pictures.study_help"))
    sized = {"overrides": ["data.size=16"], "seconds": seconds, "seeds": list(range(int(seeds))), "study": study}
    return {"recipes": recipes, **sized}


def _show(kept: list[Comparison]) -> None:
    by_id = {each.id: each for each in kept}
    chosen = st.selectbox(
        say("pictures.comparison"), list(by_id), format_func=lambda each: by_id[each].name, key="pictures-comparison"
    )
    shown = by_id[chosen]
    if shown.report:
        st.download_button(
            say("pictures.report"), shown.report, f"{shown.name}-report.html", "text/html",
            icon=":material/download:", key="pictures-compare-report", on_click="ignore",
        )  # fmt: skip
    for table in shown.tables:
        st.subheader(plain(str(table["title"])))
        heads = [str(head) or say("pictures.what") for head in table["head"]]
        st.dataframe(
            [dict(zip(heads, row, strict=False)) for row in table["rows"]],
            hide_index=True, width="stretch", alt=str(table["title"]),
        )  # fmt: skip
    st.caption(say("pictures.intervals"))
    _curves(shown)
    _grids(shown)
    with st.expander(say("pictures.what_compared")):
        rows = [{say("pictures.what"): name, say("pictures.value"): value} for name, value in shown.about]
        st.dataframe(rows, hide_index=True, width="stretch", alt=say("pictures.what_compared"))


def _curves(shown: Comparison) -> None:
    """Quality against time: with the same points as a table beside."""
    for title, curves in shown.curves.items():
        st.subheader(say("pictures.over_seconds", figure=plain(title)))
        rows = [(name, x, y) for name, points in curves.items() for x, y in points]
        data = {
            "recipe": [row[0] for row in rows],
            "seconds": [row[1] for row in rows],
            "value": [row[2] for row in rows],
        }
        st.line_chart(data, x="seconds", y="value", color="recipe", x_label=say("pictures.cpu_seconds"), y_label="",
                      height=260, alt=title)  # fmt: skip
        with st.expander(say("pictures.as_table")):
            st.dataframe(data, hide_index=True, width="stretch", alt=title)


def _grids(shown: Comparison) -> None:
    files = [(str(grid["title"]), Path(grid["file"])) for grid in shown.grids]
    there = [(title, file) for title, file in files if file.is_file()]
    if there:
        st.subheader(say("pictures.samples"))
        for column, (title, file) in zip(st.columns(len(there)), there, strict=True):
            column.image(file.read_bytes(), width="stretch", caption=plain(title))
