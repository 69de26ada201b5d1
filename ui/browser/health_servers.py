"""vLLM servers: those that are known, a form that starts one, and a stop that asks first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from decoder.errors import UsageError
from decoder.settings import home
from ui.browser import jobs, opened
from ui.browser.health_cards import look_again
from ui.browser.job_shown import duration, headline, show_end, stop_button
from ui.browser.problems import live, problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from decoder.server import ServerStatus

KIND = "serve"
EVERY = 1.0
RANKS = (8, 16, 32, 64)
CONDITIONS = {"healthy": ":material/check_circle:", "starting": ":material/hourglass_top:"}
NOTED = "health-noted"
"""In the session: jobs whose end was noted, so that decoders were looked for anew."""


def show_servers(person_id: str) -> None:
    """The servers, the start that is under way, and the form."""
    found = _known()
    if not found:
        st.caption(say("health.no_servers"))
    for entry in found:
        _server(entry)
    going = next((job for job in jobs.every(person_id, KIND) if job.going), None)
    last = going or next(iter(jobs.every(person_id, KIND)), None)
    if last is not None:
        live(_start_shown, EVERY if last.going else None)(last.id, person_id, last.going)
    with st.expander(say("health.start"), icon=":material/play_arrow:", expanded=not found and going is None):
        _form(person_id, going is not None)


def _known() -> list[ServerStatus]:
    if not (home() / "servers").is_dir():
        return []
    from decoder.server import servers

    return servers()


def _server(entry: ServerStatus) -> None:
    with st.container(border=True):
        icon = CONDITIONS.get(entry.condition, ":material/error:")
        up = f" · {duration(entry.uptime)}" if entry.uptime else ""
        st.markdown(f"{icon} **{plain(entry.name)}** · {say(f'health.condition_{entry.condition}')}{up}")
        st.text(entry.base_url)
        if entry.models:
            st.caption(say("health.serves"))
            st.text(", ".join(entry.models))
        if entry.error:
            st.caption(plain(entry.error))
        with st.expander(say("health.log")):
            st.code(_log(entry.log) or say("health.log_empty"), language=None, height=240)
        with st.popover(say("health.stop"), icon=":material/stop:", key=f"health-stop-{entry.name}"):
            st.write(say("health.stop_sure"))
            if st.button(say("health.stop_yes"), key=f"health-stop-yes-{entry.name}"):
                with problems_shown():
                    _stop(entry.name)


def _stop(name: str) -> None:
    """Raises NoSuchServer, ServiceError."""
    from decoder.server import stop

    with st.spinner(say("health.stopping")):
        stop(name)
    opened.forget_decoders()
    look_again()
    st.rerun()


def _log(path: Path) -> str:
    from decoder.server_state import log_tail

    return "\n".join(log_tail(path, 8192))


def _start_shown(job_id: str, person_id: str, polling: bool) -> None:
    job = jobs.find(job_id, person_id)
    noted: set[str] = st.session_state.setdefault(NOTED, set())
    if not job.going and job.id not in noted:
        noted.add(job.id)
        opened.forget_decoders()
        look_again()
    if polling and not job.going:
        st.rerun()
    if job.state == "done" and not job.result.get("not_loaded"):
        return  # the server itself is shown above
    st.markdown(headline(job))
    if job.going:
        with st.container(height=110, border=False):
            st.progress(_share(job.progress), text=_phase(job.progress))
            st.text(str(job.progress.get("line", ""))[:160])
        stop_button(job, f"health-job-stop-{job.id}")
    elif lost := job.result.get("not_loaded"):
        promoted = plain(str(job.result["promoted"]))
        st.warning(say("health.not_loaded", model=promoted, why=plain(str(lost))), icon=":material/warning:")
    show_end(job)


def _phase(told: Mapping[str, Any]) -> str:
    phase = str(told.get("phase", "starting"))
    return f"{say(f'health.condition_{phase}')} · {duration(float(told.get('seconds', 0)))}"


def _share(told: Mapping[str, Any]) -> float:
    """How far a start is, as far as time tells: it takes one to three minutes as a rule."""
    return min(0.95, float(told.get("seconds", 0)) / 150)


def _form(person_id: str, busy: bool) -> None:
    with st.form("health-serve", border=False):
        model = st.text_input(say("health.model_field"), key="health-model", help=say("health.model_help"))
        left, right = st.columns(2)
        with left:
            length = st.number_input(
                say("health.context"),
                min_value=0,
                value=0,
                step=512,
                key="health-context",
                help=say("health.zero_help"),
            )
            lora = st.checkbox(say("health.lora"), value=True, key="health-lora", help=say("health.lora_help"))
            eager = st.checkbox(say("health.eager"), value=False, key="health-eager", help=say("health.eager_help"))
        with right:
            memory = st.number_input(say("health.kv"), 1, 1024, 4, key="health-kv", help=say("health.kv_help"))
            share = st.slider(say("health.gpu_share"), 0.1, 1.0, 0.9, key="health-gpu", help=say("health.gpu_help"))
            rank = st.selectbox(say("health.rank"), RANKS, index=1, key="health-rank")
        if st.form_submit_button(say("health.start_button"), type="primary", disabled=busy, key="health-start"):
            options: dict[str, Any] = {"kv_cache_gib": int(memory), "lora": lora, "enforce_eager": eager}
            options |= {"max_lora_rank": rank, "max_loras": 16} if lora else {}
            options |= {"max_model_len": int(length)} if length else {}
            options |= {"gpu_memory_utilization": float(share)} if share != 0.9 else {}
            with problems_shown():
                _start(model.strip(), options, person_id)


def _start(model: str, options: Mapping[str, Any], person_id: str) -> None:
    """Raises UsageError."""
    from decoder.server_options import default_name, find_python

    if not model:
        raise UsageError("starting a server", "no model was given", "Give a folder with a model, or its name on a hub")
    find_python()  # said at once rather than by a job that fails
    jobs.start(KIND, say("health.job_title", name=default_name(model)), {"model": model, "options": options}, person_id)
    st.rerun()
