"""The five places of the alignment page, in the order in which one goes through them, and how to get to the next."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui.browser.strings import say

VIEWS = ("feedback", "data", "train", "runs", "models")
ICONS = {
    "feedback": ":material/thumbs_up_down:",
    "data": ":material/dataset:",
    "train": ":material/tune:",
    "runs": ":material/monitoring:",
    "models": ":material/rocket_launch:",
}
KEY, NEXT = "align_view", "align_next"


def chosen() -> str:
    """The place that is shown, with the control that chooses it."""
    for name, value in st.session_state.pop(NEXT, {}).items():
        st.session_state[name] = value
    if st.session_state.get(KEY) not in VIEWS:  # the control can be emptied
        st.session_state[KEY] = st.session_state.get("align_last", VIEWS[0])
    st.segmented_control(
        say("alignment.place"),
        VIEWS,
        key=KEY,
        format_func=lambda view: f"{ICONS[view]} {say(f'alignment.view_{view}')}",
        label_visibility="collapsed",
    )
    view = st.session_state[KEY] or st.session_state.get("align_last", VIEWS[0])
    st.session_state["align_last"] = view
    return str(view)


def go(view: str, **choices: Any) -> None:
    """Show another place at once, with what is to be chosen there by the keys of its controls."""
    st.session_state[NEXT] = {KEY: view, **choices}
    st.rerun()
