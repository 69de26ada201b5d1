"""From a knowledge base to the chat: a new conversation about it."""

from __future__ import annotations

import streamlit as st

from ui.browser import chat_here
from ui.browser.chat_settings import ChatSettings
from ui.browser.strings import say


def show_ask(kb_name: str) -> None:
    """The button that leads to the chat, where this knowledge base is then asked."""
    if st.button(say("knowledge.ask"), key="knowledge-ask", icon=":material/chat:"):
        chat_here.leave()
        st.session_state[chat_here.DRAFT] = (kb_name, ChatSettings())
        st.switch_page("pages/chat.py")
