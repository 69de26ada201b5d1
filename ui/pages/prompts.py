"""The page "prompts": the library with its variables and previews, trying one out, and comparing several."""

from __future__ import annotations

import streamlit as st

from ui.browser.entrance import enter
from ui.browser.problems import apart
from ui.browser.prompt_compare import show_compare
from ui.browser.prompt_library import show_library
from ui.browser.strings import say

who = enter("prompts")
library, compare = st.tabs([say("prompts.tab_library"), say("prompts.tab_compare")])
with library, apart():
    show_library(who.prefix)
with compare, apart():
    show_compare(who.prefix, who.id)
