"""The way from an adapter to what answers: measured against it, promoted or refused, with the figures that decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from alignment.evaluate_rules import TOLERANCES, WIN_RATE
from alignment.registry_artefact import Artefact
from decoder import alias
from ui.browser import align_datasets, job_shown, jobs, opened
from ui.browser.align_servers import Served
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.problems import live, problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

EVERY = 1.0
FORGOT = "align_forgot"
"""The job after whose end decoders were looked for anew."""


def show(artefact: Artefact, servers: list[Served]) -> None:
    """The form, and how the last try went."""
    st.subheader(say("alignment.promote_title"))
    job = _last(artefact)
    going = job is not None and job.going
    answering = [each.base for each in servers if alias.resolve(each.base) == artefact.id]
    if answering:
        st.success(say("alignment.is_answering", base=plain(answering[0])), icon=":material/check_circle:")
        st.page_link("pages/chat.py", label=say("alignment.ask_it"), icon=":material/chat:")
    elif servers and not going:
        _form(artefact, servers)
    elif not servers:
        st.caption(say("alignment.needs_server"))
    if job is not None:
        live(_watch, EVERY if job.going else None)(artefact, job.going)


def _last(artefact: Artefact) -> Job | None:
    return next((job for job in jobs.every(kind="promote") if job.spec.get("artefact") == artefact.id), None)


def _form(artefact: Artefact, servers: list[Served]) -> None:
    by_name = {each.name: each for each in servers}
    server = next(iter(by_name))
    if len(by_name) > 1:
        server = st.selectbox(say("alignment.server"), list(by_name), key="align_server")
    spec = {"artefact": artefact.id, "server": server} | _measures(artefact) | _rules()
    force = st.session_state.get("align_force", False)
    nothing = not spec["held_out"] and not spec["prompts"]
    if nothing and not force:
        st.caption(say("alignment.nothing_to_measure"))
    with st.container(horizontal=True):
        label = say("alignment.promote_forced" if force else "alignment.promote")
        promote = st.button(
            label, type="primary", key="align_promote", icon=":material/rocket_launch:", disabled=nothing and not force
        )
        measure = st.button(say("alignment.measure"), key="align_measure", icon=":material/balance:", disabled=nothing)
    with problems_shown():
        if promote or measure:
            jobs.start("promote", artefact.id, spec | {"switch": promote, "force": force and promote}, person().id)
            st.rerun()


def _measures(artefact: Artefact) -> dict[str, Any]:
    """The rows that it is measured on; held-out ones of its own data are proposed."""
    found = align_datasets.every()
    names = {"": say("alignment.not_measured")} | {each.source: each.name for each in found}
    options = list(names)
    if "align_held_out" not in st.session_state:
        st.session_state["align_held_out"] = _proposed(artefact)
    one, two = st.columns(2)
    held_out = one.selectbox(
        say("alignment.held_out"), options, key="align_held_out", format_func=names.__getitem__,
        help=say("alignment.held_out_help"),
    )  # fmt: skip
    prompts = two.selectbox(
        say("alignment.gate_prompts"), options, key="align_gate_prompts", format_func=names.__getitem__,
        help=say("alignment.gate_prompts_help"),
    )  # fmt: skip
    return {"held_out": held_out, "prompts": prompts}


def _proposed(artefact: Artefact) -> str:
    """What was held out when the rows that it was taught on were split."""
    source = str(artefact.data.get("source") or "")
    held = source.replace("-train.", "-held-out.")
    return held if held != source and held in {each.source for each in align_datasets.own()} else ""


def _rules() -> dict[str, Any]:
    with st.expander(say("alignment.rules"), icon=":material/rule:"):
        one, two, three, four = st.columns(4)
        found: dict[str, Any] = {
            "min_questions": one.number_input(say("alignment.min_questions"), 1, 10_000, 10, key="align_min_questions"),
            "limit": two.number_input(
                say("alignment.limit"), 0, 100_000, 0, key="align_limit", help=say("alignment.limit_help")
            ),
            "max_tokens": three.number_input(say("alignment.max_tokens"), 1, 8192, 256, key="align_max_tokens"),
            "min_win_rate": four.number_input(
                say("alignment.min_win_rate"), 0.0, 1.0, 0.5, 0.05, key="align_min_win_rate"
            ),
        }
        st.caption(say("alignment.tolerance_about"))
        found["tolerance"] = {
            name: column.number_input(
                say(f"alignment.figure_{name}"), 0.0, 100.0, value, 0.05, key=f"align_tolerance_{name}"
            )
            for column, (name, value) in zip(st.columns(len(TOLERANCES)), TOLERANCES.items(), strict=True)
        }
        st.checkbox(say("alignment.force"), key="align_force", help=say("alignment.force_help"))
    return found


def _watch(artefact: Artefact, went: bool) -> None:
    job = _last(artefact)
    if job is None:
        return
    if job.going:
        st.markdown(job_shown.headline(job))
        done, total = job.progress.get("done"), job.progress.get("total")
        words = say("alignment.questions", done=done, total=total) if total else say("alignment.measuring")
        st.progress(min(float(done or 0) / float(total), 1.0) if total else 0.0, text=words)
        job_shown.stop_button(job, f"align_promote_stop_{job.id}")
        return
    if st.session_state.get(FORGOT) != job.id:
        st.session_state[FORGOT] = job.id
        opened.forget_decoders()
    if went:
        st.rerun()
    job_shown.show_end(job)
    if job.state == "done":
        show_result(job.result)


def show_result(result: Mapping[str, Any]) -> None:
    """What the gate said, reason by reason, and its figures as a table."""
    gate: Mapping[str, Any] = result.get("gate") or {}
    passed = gate.get("passed")
    if result.get("promoted"):
        st.success(
            say("alignment.promoted", model=plain(str(result["model"])), base=plain(str(result["base"]))),
            icon=":material/rocket_launch:",
        )
    elif result.get("promoted") is False:
        st.error(say("alignment.refused", base=plain(str(result.get("base", "")))), icon=":material/block:")
    elif gate:
        show_verdict = st.success if passed else st.warning
        show_verdict(say("alignment.passes" if passed else "alignment.passes_not"), icon=":material/balance:")
    for reason in gate.get("reasons") or ():
        st.markdown(f"- {plain(str(reason))}")
    figures = gate.get("figures") or ()
    if figures:
        st.dataframe([_row(each, gate) for each in figures], hide_index=True, width="stretch", key="align_gate_figures")
        st.caption(say("alignment.gain_about"))
    for note in gate.get("notes") or ():
        st.caption(plain(str(note)))


def _row(each: Mapping[str, Any], gate: Mapping[str, Any]) -> dict[str, str]:
    """A figure: both means, the gain with its interval, and over how many questions."""
    gain, name = each["gain"], str(each["name"])
    title = say(f"alignment.figure_{name}") if name in TOLERANCES or name == WIN_RATE else name
    return {
        say("alignment.figure"): title,
        str(gate["candidate"]): f"{each['candidate']['value']:.3f}",
        str(gate["baseline"]): f"{each['baseline']['value']:.3f}",
        say("alignment.gain"): f"{gain['value']:+.3f}",
        say("alignment.interval"): f"{gain['low']:+.3f} … {gain['high']:+.3f}",
        say("alignment.number"): str(gain["count"]),
    }
