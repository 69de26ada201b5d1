"""The beginning of every page: who is here, whether they may be, and the page's title."""

from __future__ import annotations

import streamlit as st

from ui.browser.person import Person, person
from ui.browser.strings import say

FOR_ADMINS = ("alignment", "pictures", "health")
WHO = "app-person"


def enter(page: str) -> Person:
    """Who looks at the page called so, which shows its title. Those who may not see it see that, and no more of it."""
    who = person()
    if st.session_state.get(WHO, who.id) != who.id:
        st.session_state.clear()  # a session that goes on under another name holds what was shown before
    st.session_state[WHO] = who.id
    st.title(say(f"app.{page}"))
    if page in FOR_ADMINS and not who.admin:
        st.error(say("app.for_admins"), icon=":material/lock:")
        st.stop()
    return who
