"""The page "agents": give an agent a task, watch it think and act, and say yes or no to what it does."""

from __future__ import annotations

import streamlit as st

from ui.browser.agent_after import show_after
from ui.browser.agent_choice import chosen, open_form
from ui.browser.agent_form import show_form
from ui.browser.agent_history import show_history, show_notes
from ui.browser.agent_live import show_run
from ui.browser.entrance import enter
from ui.browser.problems import apart
from ui.browser.strings import say

who = enter("agents")
job = chosen(who.id)
if job is None:
    st.write(say("agents.what"))
    with apart():
        show_form(who)
    with apart():
        show_notes(who.id)
    show_history(who.id)
else:
    st.button(say("agents.back"), key="agents-back", icon=":material/arrow_back:", type="tertiary", on_click=open_form)
    with apart():
        show_run(job)
    if not job.going:
        with apart():
            show_after(job)
        show_notes(who.id)
