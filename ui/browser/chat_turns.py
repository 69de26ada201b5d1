"""The turns of the shown branch that have ended: question, answer, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from decoder.errors import UsageError
from ui.browser import chat_models, chat_tree, jobs
from ui.browser.chat_compare import compare_button, given_of
from ui.browser.chat_here import EARLIER, EDITING, Here, ask_again, safely, show_version
from ui.browser.chat_types import Turn
from ui.browser.person import person
from ui.browser.safe_text import plain, safe_markdown
from ui.browser.strings import say

SHOWN = 5
"""Turns that are drawn at first; and as many more at each press of the button."""


def show_turns(page: Here) -> None:
    """The latest turns of the branch; the answer that is being written is `chat_live`'s."""
    shown = st.session_state.get(EARLIER, SHOWN)
    if len(page.path) > shown:
        more = {EARLIER: shown + SHOWN}
        st.button(
            say("chat.earlier"),
            key="chat-earlier-button",
            type="tertiary",
            on_click=st.session_state.update,
            args=(more,),
        )
    for turn in page.path[-shown:]:
        if turn.state != "running":
            with st.container():
                show_question(page, turn)
                with st.chat_message("assistant", avatar=":material/local_fire_department:"):
                    _answer(page, turn)


def waiting(turn: Turn) -> str:
    """What stands in an answer's place before its first word."""
    if not turn.job:
        return say("chat.thinking_kb" if turn.kb else "chat.thinking")
    return job_line(turn.job)


def job_line(job_id: str) -> str:
    """How far the reading of attached files has come, as a line."""
    try:
        progress = jobs.find(job_id, person().id).progress
    except UsageError:  # it was removed from the list of jobs; whoever waits for it is told
        return say("chat.reading")
    done, total = progress.get("done"), progress.get("total")
    if isinstance(done, int) and isinstance(total, int) and total:
        return say("chat.reading_of", done=done, total=total)
    return say("chat.reading")


def show_question(page: Here, turn: Turn) -> None:
    """What was asked; as a form while it is being edited."""
    with st.chat_message("user", avatar=":material/person:"):
        if st.session_state.get(EDITING) != turn.id:
            st.markdown(safe_markdown(turn.question))
            return
        with st.form(f"chat-edit-{turn.id}", border=False):
            text = st.text_area(say("chat.question"), turn.question, key=f"chat-edit-text-{turn.id}")
            with st.container(horizontal=True):
                send = st.form_submit_button(say("chat.send"), type="primary", key="chat-edit-send")
                cancel = st.form_submit_button(say("chat.cancel"), key="chat-edit-cancel")
        if send and text.strip():
            safely(ask_again, page, turn, text)
        if cancel:
            st.session_state.pop(EDITING, None)
        if send or cancel:
            st.rerun()


def _answer(page: Here, turn: Turn) -> None:
    from ui.browser.source_view import show_sources

    if turn.shown_text.strip():
        st.markdown(safe_markdown(turn.shown_text))
    if turn.answer is not None and turn.answer.refused:
        st.caption(say("chat.refused"))
    _how_it_ended(turn)
    _actions(page, turn)
    if turn.answer is not None and turn.state == "done":
        show_sources(turn.answer, turn.kb, f"chat-sources-{turn.id}")
        _feedback(page, turn)


def _how_it_ended(turn: Turn) -> None:
    if turn.state == "stopped":
        st.caption(say("chat.stopped"))
    elif turn.state == "interrupted":
        st.warning(say("chat.interrupted"), icon=":material/power_off:")
    elif turn.state == "failed":
        st.error(plain(f"{turn.error.get('step', '')}: {turn.error.get('cause', '')}"), icon=":material/error:")
        if remedy := turn.error.get("remedy"):
            st.caption(say("app.remedy", remedy=plain(remedy)))


def _actions(page: Here, turn: Turn) -> None:
    """A row of small buttons; nothing can be asked anew while an answer is being written."""
    busy, last = page.running is not None, turn.id == page.path[-1].id
    with st.container(horizontal=True, vertical_alignment="center", key=f"chat-actions-{turn.id}"):
        _versions(page, turn)
        if last:
            well = turn.state == "done"
            st.button(
                say("chat.again" if well else "chat.try_again"),
                key=f"chat-again-{turn.id}",
                icon=":material/refresh:",
                type="tertiary" if well else "secondary",
                disabled=busy,
                on_click=safely,
                args=(ask_again, page, turn),
            )
        st.button(
            say("chat.edit"),
            key=f"chat-edit-button-{turn.id}",
            icon=":material/edit:",
            type="tertiary",
            disabled=busy,
            on_click=st.session_state.update,
            args=({EDITING: turn.id},),
        )
        if last and turn.state == "done" and chat_models.models().decoder:
            compare_button(page, turn, busy)


def _versions(page: Here, turn: Turn) -> None:
    every = chat_tree.versions(page.turns, turn)
    if len(every) < 2:
        return
    at = [each.id for each in every].index(turn.id)
    left = (-1, ":material/chevron_left:", "previous", say("chat.previous"))
    right = (1, ":material/chevron_right:", "next", say("chat.next"))
    for step, icon, name, label in (left, right):
        other = every[at + step] if 0 <= at + step < len(every) else None
        st.button(
            label,
            key=f"chat-{name}-{turn.id}",
            icon=icon,
            type="tertiary",
            disabled=other is None or page.running is not None,
            on_click=safely,
            args=(show_version, page, other),
        )
        if step < 0:
            st.caption(say("chat.version", number=at + 1, of=len(every)), width="content")


def _feedback(page: Here, turn: Turn) -> None:
    from ui.browser.feedback_view import show_feedback

    show_feedback(given_of(page, turn), f"chat-feedback-{turn.id}")
