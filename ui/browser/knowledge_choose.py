"""Which knowledge base the page is about: one of one's own, or a new one."""

from __future__ import annotations

import streamlit as st

from ui.browser.knowledge_names import known_names
from ui.browser.person import person
from ui.browser.strings import say

CHOSEN = "knowledge-chosen"
NEW = ""


def choose() -> str:
    """The full name of the one that was chosen; `NEW` for one that is yet to be made."""
    names = known_names()
    if not names:
        return NEW
    options = [*names, NEW]
    before = st.session_state.get(CHOSEN)
    picked: str = st.selectbox(
        say("knowledge.choose"),
        options,
        index=options.index(before) if before in options else 0,
        format_func=lambda name: person().shown(name) if name else say("knowledge.new"),
        key=f"knowledge-kb-{st.session_state.get('knowledge-turn', 0)}",
    )
    if picked not in options:  # a browser can send what it was not offered
        picked = options[0]
    st.session_state[CHOSEN] = picked
    return picked


def go_to(kb_name: str) -> None:
    """Show this one from now on, and run the page anew."""
    st.session_state[CHOSEN] = kb_name
    st.session_state["knowledge-turn"] = st.session_state.get("knowledge-turn", 0) + 1
    st.rerun()
