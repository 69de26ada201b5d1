"""Comparisons that run or have ended: progress, the table of figures, the questions on which the variants differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from ui.browser import jobs
from ui.browser.job_shown import headline, show_end, stop_button
from ui.browser.jobs import Job
from ui.browser.problems import live, problems_shown
from ui.browser.prompt_charts import show_accuracy
from ui.browser.safe_text import plain
from ui.browser.strings import say

EVERY = 1.0
KIND = "prompts"


def show_comparisons(person_id: str) -> None:
    """The newest comparison, and the earlier ones to choose from."""
    found = sorted(jobs.every(person_id, KIND), key=lambda job: -job.started)
    st.subheader(say("prompts.comparisons"))
    if not found:
        st.caption(say("prompts.no_comparisons"))
        return
    job = found[0]
    if len(found) > 1:
        chosen = st.selectbox(
            say("prompts.which_comparison"),
            [each.id for each in found],
            format_func=lambda each: next(f"{job.title} · {job.id[:15]}" for job in found if job.id == each),
            key="compare-shown",
        )
        job = next((each for each in found if each.id == chosen), job)
    live(_show, EVERY if job.going else None)(job.id, person_id, job.going)


def _show(job_id: str, person_id: str, polling: bool) -> None:
    job = jobs.find(job_id, person_id)
    if polling and not job.going:
        st.rerun()
    st.markdown(headline(job))
    if job.going:
        _progress(job.progress)
        stop_button(job, f"compare-stop-{job.id}")
        return
    show_end(job)
    if job.state == "done":
        show_result(job.result)
    else:
        _go_on(job, person_id)
    if st.button(say("prompts.remove"), key="compare-remove", icon=":material/delete:"):
        with problems_shown():
            jobs.remove(job)
            st.session_state.pop("compare-shown", None)
            st.rerun()


def _progress(told: Mapping[str, Any]) -> None:
    with st.container(height=90, border=False):
        if not told:
            st.progress(0.0, text=say("prompts.begins"))
            return
        said = say(
            "prompts.progress",
            label=plain(str(told["variant"])), number=told["number"], variants=told["variants"],
            done=told["done"], total=told["total"],
        )  # fmt: skip
        st.progress(min(1.0, float(told["share"])), text=said)


def _go_on(job: Job, person_id: str) -> None:
    """One that did not come to its end, with what it had."""
    st.caption(say("prompts.go_on_what"))
    if st.button(say("prompts.go_on"), key="compare-resume", icon=":material/resume:", type="primary"):
        with problems_shown():
            jobs.start(KIND, job.title, {**job.spec, "resumes": job.id}, person_id)
            st.session_state.pop("compare-shown", None)
            st.rerun()


def show_result(result: Mapping[str, Any]) -> None:
    """The figures, as a table and as a chart, and where the variants differ."""
    variants: Sequence[Mapping[str, Any]] = result["variants"]
    st.caption(say("prompts.measured", questions=result["questions"], model=plain(str(result["model"]))))
    if result["shown"]:
        st.caption(say("prompts.shots", shown=result["shown"]))
    st.dataframe(table(variants), width="stretch", hide_index=True, key="compare-table")
    st.caption(say("prompts.interval_help"))
    show_accuracy(variants)
    for each in variants:
        if each["failed"]:
            st.warning(
                say("prompts.failed", count=len(each["failed"]), label=plain(each["label"])), icon=":material/warning:"
            )
    with st.expander(say("prompts.differing", count=len(result["rows"]))):
        _differing(result["rows"], [each["label"] for each in variants])


def table(variants: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """A variant a row, in columns by their heads; without columns of which no variant has a figure."""
    columns: dict[str, list[str]] = {}
    for each in variants:
        summary, difference = each["summary"], each["difference"].get("accuracy")
        cells = {
            "variant": each["label"],
            "accuracy": f"{summary['accuracy']['value']:.1%}",
            "interval": _range(summary["accuracy"], "{:.1%}"),
            "difference": f"{100 * difference['value']:+.1f}" if difference else "–",
            "difference_interval": _range(difference, "{:+.1f}", 100) if difference else "–",
            "tokens_in": _mean(summary, "prompt_tokens"),
            "tokens_out": _mean(summary, "completion_tokens"),
            "samples_mean": _mean(summary, "samples"),
            "seconds": f"{each['latency']['median']:.2f}" if each["latency"] else "–",
        }
        for name, cell in cells.items():
            columns.setdefault(say(f"prompts.col_{name}"), []).append(cell)
    return {head: cells for head, cells in columns.items() if set(cells) != {"–"}}


def _range(interval: Mapping[str, float], form: str, times: float = 1) -> str:
    return say("prompts.range", low=form.format(times * interval["low"]), high=form.format(times * interval["high"]))


def _mean(summary: Mapping[str, Mapping[str, float]], name: str) -> str:
    return f"{summary[name]['value']:.1f}" if name in summary else "–"


def _differing(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
    if not rows:
        st.caption(say("prompts.all_alike"))
        return
    columns: dict[str, list[str]] = {
        say("prompts.col_question"): [row["asked"] for row in rows],
        say("prompts.col_right"): [" | ".join(row["right"]) for row in rows],
    }
    for number, label in enumerate(labels):
        marks = [row["answers"][number] for row in rows]
        columns[label] = [f"{'✓' if each['right'] else '✗'} {each['answer'] or '–'}" for each in marks]
    st.dataframe(columns, width="stretch", hide_index=True)
    by_id = {row["id"]: row for row in rows}
    chosen = st.selectbox(
        say("prompts.read_outputs"), list(by_id), format_func=lambda each: by_id[each]["asked"][:100], key="compare-row"
    )
    for column, label, answer in zip(
        st.columns(len(labels)), labels, by_id[chosen]["answers"] if chosen else (), strict=False
    ):
        with column:
            st.markdown(f"**{plain(label)}**")
            st.code(answer["output"] or say("prompts.no_output"), language=None, wrap_lines=True)
