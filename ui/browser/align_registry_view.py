"""The registry: what answers now, what was trained and from what, and the history of both."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from alignment.registry import list_artefacts
from alignment.registry_artefact import Artefact
from alignment.registry_history import history
from decoder import alias
from ui.browser import align_gate_view, align_recipes, align_run_view, opened
from ui.browser.align_servers import Served, running
from ui.browser.align_steps import go
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

MOST_EVENTS = 100


def show() -> None:
    """What answers, one artefact, the gate before it, the history."""
    servers, artefacts = running(), list_artefacts()
    _answers(servers)
    if not artefacts:
        st.info(say("alignment.no_models"), icon=":material/rocket_launch:")
        if st.button(say("alignment.to_train"), type="primary", key="align_to_train", icon=":material/tune:"):
            go("train")
        return
    by_id = {each.id: each for each in reversed(artefacts)}
    if st.session_state.get("align_artefact") not in by_id:
        st.session_state["align_artefact"] = next(iter(by_id))
    chosen = st.selectbox(
        say("alignment.artefact"), list(by_id), key="align_artefact", format_func=lambda each: _label(by_id[each])
    )
    artefact = by_id[chosen]
    if state := state_of(artefact.id):
        st.caption(plain(state))
    if artefact.kind == "adapter":
        align_gate_view.show(artefact, servers)
    else:
        st.caption(say(f"alignment.kind_is_{artefact.kind}", folder=plain(str(artefact.model))))
    _lineage(artefact, by_id)
    _history()


def state_of(artefact: str) -> str:
    """Where it answers, or would after a rollback; empty where it does neither."""
    found = [say("alignment.promoted_on", base=base) for base, t in alias.targets().items() if t.model == artefact]
    found += [say("alignment.before_on", base=base) for base, t in alias.targets().items() if t.before == artefact]
    return ", ".join(found)


def _label(artefact: Artefact) -> str:
    return f"{artefact.id} · {artefact.stage}"


def _answers(servers: list[Served]) -> None:
    """What answers on each server when no model is named, and the way back."""
    st.subheader(say("alignment.answers"))
    if not servers:
        st.caption(say("alignment.no_server"))
        st.page_link("pages/health.py", label=say("alignment.to_health"), icon=":material/monitor_heart:")
    for served in servers:
        target = alias.targets().get(served.base)
        words, button = st.columns([3, 1], vertical_alignment="center")
        now = target.model if target and target.model else ""
        words.markdown(
            say("alignment.answers_now", base=plain(served.base), model=plain(now))
            if now
            else say("alignment.answers_base", base=plain(served.base))
        )
        if target and target.before is not None:
            with button:
                _rollback(served, target)


def _rollback(served: Served, target: alias.Target) -> None:
    with st.popover(say("alignment.rollback"), icon=":material/undo:", key=f"align_back_{served.name}"):
        before = target.before or served.base
        st.write(say("alignment.rollback_sure", model=plain(before)))
        if st.button(say("alignment.rollback_yes"), type="primary", key=f"align_rollback_{served.name}"):
            with problems_shown():
                roll_back(served.name)
                st.rerun()


def roll_back(server: str) -> None:
    """What answered before answers again from the next request on. Raises RegistryError, DecoderError."""
    from alignment.registry_serving import rollback
    from decoder.server import attach

    rollback(attach(server))
    opened.forget_decoders()


def _lineage(artefact: Artefact, by_id: dict[str, Artefact]) -> None:
    st.subheader(say("alignment.lineage"))
    data = artefact.data
    facts = {
        "base": artefact.base or say("alignment.from_nothing"),
        "parents": ", ".join(artefact.parents) or say("alignment.none"),
        "data_source": str(data.get("source") or ""),
        "data_rows": str(data.get("train_rows") or ""),
        "data_hash": str(data.get("sha256") or ""),
        "recipe_hash": artefact.recipe_sha256,
        "weights_hash": artefact.weights_sha256,
        "made": _when(artefact.created),
        "stage": artefact.stage,
    }
    heads = say("alignment.fact"), say("alignment.value")
    rows = [(say(f"alignment.lineage_{name}"), value) for name, value in facts.items() if value]
    st.dataframe(
        [dict(zip(heads, row, strict=True)) for row in rows], hide_index=True, width="stretch", key="align_lineage"
    )
    figures = [(name, f"{value:.4g}") for name, value in artefact.metrics.items() if isinstance(value, (int, float))]
    with st.expander(say("alignment.run_figures")):
        st.dataframe([dict(zip(heads, row, strict=True)) for row in figures], hide_index=True, width="stretch")
    with st.expander(say("alignment.recipe_of_it")):
        st.code(align_recipes.as_yaml(artefact.recipe), language=None)
    children = [each.id for each in by_id.values() if artefact.id in each.parents]
    if children:
        st.caption(say("alignment.children", models=plain(", ".join(children))))
    _evaluations(artefact)


def _evaluations(artefact: Artefact) -> None:
    """Reports of the gate that lie beside the artefacts, to take along."""
    from alignment.registry_artefact import models_folder

    root = models_folder() / "evaluations"
    for folder in sorted(root.glob(f"{artefact.id}-against-*")) if root.is_dir() else ():
        st.caption(plain(folder.name))
        files = [file for name in ("report.html", "report.md") if (file := folder / name).is_file()]
        align_run_view.reports(folder.name, files, folder.name)


def _history() -> None:
    events = history()[-MOST_EVENTS:][::-1]
    with st.expander(say("alignment.history")):
        heads = [say(f"alignment.history_{name}") for name in ("when", "what", "model", "before")]
        rows = [
            dict(zip(heads, (_when(each["time"]), *(_said(each, k) for k in ("event", "id", "before"))), strict=True))
            for each in events
        ]
        st.dataframe(rows, hide_index=True, width="stretch", key="align_history")


def _said(event: dict[str, Any], name: str) -> str:
    return str(event.get(name) or "")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
