"""Which knowledge base the page is about: one of one's own, or a new one. The page's address names it."""

from __future__ import annotations

import streamlit as st

from ui.browser.knowledge_names import known_names
from ui.browser.person import person
from ui.browser.strings import say

CHOSEN, PARAMETER, TURN = "knowledge-chosen", "kb", "knowledge-turn"
NEW = ""


def choose() -> str:
    """The full name of the one that was chosen; `NEW` for one that is yet to be made."""
    names = known_names()
    if not names:
        return NEW
    _follow_address(names)
    options = [*names, NEW]
    before = st.session_state.get(CHOSEN)
    key = f"knowledge-kb-{st.session_state.get(TURN, 0)}"
    picked: str = st.selectbox(
        say("knowledge.choose"),
        options,
        index=options.index(before) if before in options else 0,
        format_func=lambda name: person().shown(name) if name else say("knowledge.new"),
        key=key,
        on_change=lambda: _remember(st.session_state[key]),
    )
    st.session_state[CHOSEN] = picked
    return picked


def go_to(kb_name: str) -> None:
    """Show this one from now on, and run the page anew."""
    _remember(kb_name)
    _begin_anew()
    st.rerun()


def _follow_address(names: list[str]) -> None:
    """After a reload, or a step back: the one of the address, where there is one of this name."""
    asked = st.query_params.get(PARAMETER)
    named = next((name for name in names if person().shown(name) == asked), None)
    if named is not None and named != st.session_state.get(CHOSEN):
        st.session_state[CHOSEN] = named
        _begin_anew()


def _remember(kb_name: str) -> None:
    st.session_state[CHOSEN] = kb_name
    if kb_name:
        st.query_params[PARAMETER] = person().shown(kb_name)
    else:
        st.query_params.pop(PARAMETER, None)


def _begin_anew() -> None:
    """The control forgets what it held."""
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
