"""The page "chat": talk with documents, or with the model."""

from __future__ import annotations

import streamlit as st

from ui.browser.chat_ask import show_input
from ui.browser.chat_compare import show_comparison
from ui.browser.chat_first import show_first
from ui.browser.chat_here import here, show_problem_of_before
from ui.browser.chat_sidebar import show_sidebar
from ui.browser.chat_turns import follow, look_again, show_turns
from ui.browser.entrance import enter
from ui.browser.problems import apart

enter("chat")
page = here()
with apart():
    show_sidebar(page)
show_input(page)
show_problem_of_before()
place, alone = None, st.empty()
with alone.container():
    compared = bool(page.path) and show_comparison(page)
    if not page.path:
        show_first(page)
if page.path and not compared:
    alone.empty()
    place = show_turns(page)
if place is not None:
    follow(page, place)
elif page.running is not None:
    look_again()
