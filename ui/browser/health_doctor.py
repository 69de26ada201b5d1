"""`hearth doctor` as a table: what was looked at, its state as a word, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ui.browser.strings import say
from ui.cli.checks import Row, examine

SHOWN = "health-doctor"


def show_doctor() -> None:
    """A button, and below it the table once it was pressed."""
    if st.button(say("health.examine"), key="health-examine", icon=":material/stethoscope:"):
        st.session_state[SHOWN] = True
    if not st.session_state.get(SHOWN):
        st.caption(say("health.examine_what"))
        return
    with st.spinner(say("health.examining")):
        rows = _examined()
    worst = next((state for state in ("fail", "warn") if any(row.state == state for row in rows)), "ok")
    show = {"fail": st.error, "warn": st.warning, "ok": st.success}[worst]
    show(
        say(f"health.verdict_{worst}"),
        icon={"fail": ":material/error:", "warn": ":material/warning:"}.get(worst, ":material/check_circle:"),
    )
    st.dataframe(table(rows), width="stretch", hide_index=True, key="health-doctor-table")


def table(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The rows in columns by their heads."""
    return {
        say("health.col_state"): [say(f"health.state_{row.state}") for row in rows],
        say("health.col_name"): [row.name for row in rows],
        say("health.col_detail"): [row.detail for row in rows],
        say("health.col_remedy"): [row.remedy for row in rows],
    }


@st.cache_data(ttl=60, show_spinner=False)
def _examined() -> Sequence[Row]:
    return examine()
