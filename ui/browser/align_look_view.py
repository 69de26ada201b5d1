"""A dry run on the page: what a recipe would do, and which tokens it would train, found by a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from ui.browser import align_masks, job_shown, jobs
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.problems import live
from ui.browser.safe_text import plain
from ui.browser.strings import say

EVERY = 1.0


def start(recipe: Mapping[str, Any], measure: bool, rows: Sequence[int], key: str) -> None:
    """Look at a recipe; `watch` with the same key shows what is found. Raises UsageError, ServiceError."""
    spec = {"recipe": dict(recipe), "dry_run": True, "measure": measure, "rows": list(rows), "for": key}
    job = jobs.start("align", say("alignment.look_title", name=str(recipe.get("name", ""))), spec, person().id)
    st.session_state[f"align_look_{key}"] = job.id


def watch(key: str, facts: bool = True) -> None:
    """The last look of this key, while it is at work and when it is done."""
    job = _job(key)
    if job is None:
        return
    live(_watch, EVERY if job.going else None)(key, job.going, facts)


def _job(key: str) -> Job | None:
    wanted = st.session_state.get(f"align_look_{key}")
    found = [job for job in jobs.every(person().id, "align") if job.spec.get("for") == key and job.id == wanted]
    return found[0] if found else None


def _watch(key: str, went: bool, facts: bool) -> None:
    job = _job(key)
    if job is None:
        return
    if job.going:
        st.markdown(job_shown.headline(job))
        st.caption(say("alignment.looking"))
        job_shown.stop_button(job, f"align_look_stop_{job.id}")
        return
    if went:
        st.rerun()
    job_shown.show_end(job)
    if job.state == "done":
        show_found(job.result, facts)


def show_found(found: Mapping[str, Any], facts: bool = True) -> None:
    """The summary and the masks."""
    if found.get("refusal"):
        st.error(plain(str(found["refusal"])), icon=":material/block:")
    if facts:
        heads = say("alignment.fact"), say("alignment.value")
        rows = [dict(zip(heads, fact, strict=True)) for fact in found.get("facts", ())]
        st.dataframe(rows, hide_index=True, width="stretch", key="align_facts")
    if found.get("preview"):
        st.caption(say("alignment.legend", live=plain(str(found.get("live", "")))))
    for number, row in enumerate(found.get("preview", ()), 1):
        name = say(
            "alignment.mask_row",
            number=number,
            name=f" {plain(str(row['name']))}" if row["name"] else "",
            live=sum(row["live"]),
            all=len(row["ids"]),
        )
        with st.container(border=True):
            st.caption(name)
            st.markdown(align_masks.shown(row["pieces"], row["live"]))
            if row.get("more"):
                st.caption(say("alignment.more_tokens", count=row["more"]))
