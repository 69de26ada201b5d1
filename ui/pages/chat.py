"""The page "chat"."""

from __future__ import annotations

import streamlit as st

from ui.browser.strings import say

st.title(say("app.chat"))
