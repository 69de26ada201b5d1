"""The newest job of a knowledge base on its page: live while it runs, then how it ended and how to go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from decoder.errors import HearthError
from ui.browser import jobs, knowledge_begin, opened
from ui.browser.job_shown import duration, headline, show_end, stop_button
from ui.browser.jobs import Job
from ui.browser.knowledge_failures import jobs_of
from ui.browser.knowledge_uploads import shown_name
from ui.browser.person import person
from ui.browser.problems import live, problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

EVERY_SECONDS = 1.0
HEIGHT = 236
LONGEST = 60


def show_job(kb_name: str) -> None:
    """Whatever was done last with this knowledge base."""
    job = next(iter(jobs_of(kb_name, person().id)), None)
    if job is None:
        return
    if job.going:
        live(_live, EVERY_SECONDS)(job.id, kb_name)
    else:
        _show_ended(job)


def _live(job_id: str, kb_name: str) -> None:
    job = jobs.find(job_id, person().id)
    if not job.going:
        st.rerun()
    ready = _searchable(kb_name)
    _renew_page_once(job.id, ready)
    at = phase(job.progress)
    with st.container(border=True, height=HEIGHT, key="knowledge-progress"):
        title, button = st.columns([5, 1])
        title.markdown(headline(job))
        with button:
            stop_button(job, key=f"knowledge-stop-{job.id}")
        st.progress(fraction(job.progress), text=say(f"knowledge.phase_{at}"))
        st.caption(plain(figures(job.progress)) or say("knowledge.figures_soon"))
        source = str(job.progress.get("source") or "") if at == "reading" else ""
        st.caption(plain(_short(source)) if source else say(f"knowledge.hint_{at}"))
        st.caption(say("knowledge.searchable_now", n=ready) if ready else say("knowledge.searchable_soon"))


def _renew_page_once(job_id: str, ready: int) -> None:
    """The first documents are there: the list below and the tabs have something to show."""
    key = f"knowledge-ready-{job_id}"
    before = st.session_state.setdefault(key, ready)
    if ready and not before:
        st.session_state[key] = ready
        st.rerun()


def phase(progress: Mapping[str, Any]) -> str:
    """What it is at, one of the phases that have words."""
    told = str(progress.get("phase") or "starting")
    return told if told in ("starting", "waiting", "reading", "embedding", "verifying") else "starting"


def fraction(progress: Mapping[str, Any]) -> float:
    """How much of its step is done, in [0, 1]."""
    done, total = progress.get("done") or 0, progress.get("total") or 0
    return min(1.0, max(0.0, done / total)) if total else 0.0


def figures(progress: Mapping[str, Any]) -> str:
    """Files or passages done, how fast, how long yet, and how many failed."""
    at = phase(progress)
    if at not in ("reading", "embedding"):
        return ""
    unit = "files" if at == "reading" else "passages"
    parts = [say(f"knowledge.done_{unit}", done=progress.get("done", 0), total=progress.get("total", 0))]
    if at == "reading":
        parts.append(say("knowledge.passages_so_far", n=progress.get("passages", 0)))
    if rate := progress.get("rate"):
        parts.append(say(f"knowledge.rate_{unit}", rate=f"{rate:.1f}"))
    if (left := progress.get("remaining") or 0) >= 1:
        parts.append(say("knowledge.remaining", time=duration(left)))
    if failed := progress.get("failed"):
        parts.append(say("knowledge.failed_so_far", n=len(failed)))
    return " · ".join(parts)


def _searchable(kb_name: str) -> int:
    """Documents that can be found now; what keeps it from being looked at is told where they are listed."""
    try:
        return len(opened.knowledge_base(kb_name).documents())
    except HearthError:
        return 0


def _short(source: str) -> str:
    return source if len(source) <= LONGEST else f"…{source[-LONGEST:]}"


def _show_ended(job: Job) -> None:
    if job.state == "done":
        _show_done(job.result)
        return
    st.markdown(headline(job))
    show_end(job)
    on, aside, _ = st.columns([2, 2, 5])
    if on.button(say("knowledge.go_on"), key="knowledge-go-on", type="primary", icon=":material/play_arrow:"):
        with problems_shown():
            knowledge_begin.go_on(job)
            st.rerun()
    if aside.button(say("knowledge.put_job_aside"), key="knowledge-put-job-aside"):
        jobs.remove(job)
        st.rerun()


def _show_done(result: Mapping[str, Any]) -> None:
    if "passages" in result:
        st.caption(summary(result))
    problems = result.get("problems")
    if problems is None:
        return
    if not problems:
        st.success(say("knowledge.whole"), icon=":material/verified:")
        return
    st.warning(say("knowledge.problems", n=len(problems)), icon=":material/healing:")
    with st.expander(say("knowledge.problems_list")):
        st.text("\n".join(f"{shown_name(each['source'])}: {each['what']}" for each in problems[:500]))
    for source in result.get("lost", ()):
        st.text(say("knowledge.lost", name=shown_name(source)))


def summary(result: Mapping[str, Any]) -> str:
    """What a run did, in one line."""
    counts = {name: len(result.get(name) or ()) for name in ("added", "updated", "removed", "duplicates", "failed")}
    counts |= {name: int(result.get(name) or 0) for name in ("unchanged", "unsupported", "ignored")}
    parts = [say(f"knowledge.n_{name}", n=n) for name, n in counts.items() if n]
    took = say("knowledge.took", passages=result.get("passages", 0), time=duration(float(result.get("seconds") or 0)))
    return say("knowledge.last_run", what=", ".join(parts) or say("knowledge.n_nothing"), took=took)
