"""The chat's side: a new one, those there are, and what can be done with the one that is shown."""

from __future__ import annotations

import streamlit as st

from ui.browser import chat_export
from ui.browser.chat_here import Here, begin_new, enter, leave, safely, stop
from ui.browser.chat_settings_form import show_settings
from ui.browser.chat_types import Conversation
from ui.browser.person import person
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

A_PAGE = 15


def show_sidebar(page: Here) -> None:
    """All of it, top to bottom."""
    with st.sidebar:
        st.button(
            say("chat.new"),
            key="chat-new",
            icon=":material/add:",
            type="primary" if page.conversation is not None else "secondary",  # an empty chat has its own next step
            width="stretch",
            on_click=begin_new,
            args=(page,),
        )
        show_settings(page)
        if page.conversation is not None:
            _menu(page, page.conversation)
        _conversations(page)


def _conversations(page: Here) -> None:
    words = st.text_input(
        say("chat.search"), key="chat-search", placeholder=say("chat.search"), label_visibility="collapsed"
    )
    shown = st.session_state.get("chat-listed", A_PAGE)
    found = page.store.find(person().id, words, shown + 1)
    if not found:
        st.caption(say("chat.none_found") if words.strip() else say("chat.none_yet"))
    for each in found[:shown]:
        current = page.conversation is not None and each.id == page.conversation.id
        st.button(
            plain(each.title),
            key=f"chat-open-{each.id}",
            type="secondary" if current else "tertiary",
            width="stretch",
            on_click=enter,
            args=(each.id,),
        )
    if len(found) > shown:
        more = {"chat-listed": shown + A_PAGE}
        st.button(say("chat.more"), key="chat-more", type="tertiary", on_click=st.session_state.update, args=(more,))


def _menu(page: Here, conversation: Conversation) -> None:
    with st.popover(say("chat.this_one"), icon=":material/more_horiz:", width="stretch"):
        title = st.text_input(say("chat.title"), conversation.title, key=f"chat-title-{conversation.id}", max_chars=80)
        if title != conversation.title:
            with problems_shown():
                page.store.rename(conversation.id, person().id, title)
                st.rerun()
        st.download_button(
            say("chat.as_markdown"),
            lambda: chat_export.as_markdown(conversation, page.path).encode("utf-8", "backslashreplace"),
            chat_export.file_name(conversation, ".md"),
            "text/markdown",
            key="chat-markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            say("chat.as_json"),
            lambda: chat_export.as_json(conversation, page.turns).encode(),
            chat_export.file_name(conversation, ".json"),
            "application/json",
            key="chat-json",
            icon=":material/download:",
            on_click="ignore",
        )
        if st.button(say("chat.delete"), key="chat-delete", icon=":material/delete:"):
            _ask_to_delete(page, conversation)


def _ask_to_delete(page: Here, conversation: Conversation) -> None:
    @st.dialog(say("chat.delete_title"))
    def dialog() -> None:
        st.write(say("chat.delete_sure", title=plain(conversation.title)))
        with st.container(horizontal=True):
            if st.button(
                say("chat.delete_yes"),
                key="chat-delete-yes",
                type="primary",
                on_click=safely,
                args=(_delete, page, conversation),
            ):
                st.rerun()
            if st.button(say("chat.cancel"), key="chat-delete-no"):
                st.rerun()

    dialog()


def _delete(page: Here, conversation: Conversation) -> None:
    if page.running is not None:
        stop(page.running)
    page.store.delete(conversation.id, person().id)
    leave()
