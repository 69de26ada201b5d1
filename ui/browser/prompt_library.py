"""The library: choose a prompt, give its variables values, see what it says, try it, and keep copies of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from decoder.errors import HearthError
from ui.browser import opened, prompt_own
from ui.browser.person import person
from ui.browser.problems import problems_shown, show_problem
from ui.browser.prompt_form import values_from_form
from ui.browser.prompt_preview import show_preview
from ui.browser.prompt_try import show_try
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.folders import Library

CHOSEN = "prompt-chosen"
FIRST = "zero-shot-cot"
NEXT = "prompt-next"
"""In the session: the prompt to choose when the page runs again, as after one was saved."""


def show_library(prefix: str) -> None:
    """The whole tab."""
    known = prompt_own.known(prefix)
    names = list(known)
    if (wanted := st.session_state.pop(NEXT, None)) in names:
        st.session_state[CHOSEN] = wanted
    name = st.selectbox(
        say("prompts.choose"),
        names,
        index=names.index(FIRST) if FIRST in names else 0,
        format_func=lambda each: _described(known, each, prompt_own.is_own(prefix, each)),
        key=CHOSEN,
        help=say("prompts.choose_help"),
    )
    with problems_shown():
        _show_prompt(known, prefix, name)
    _own(prefix, name)


def find_decoder() -> Decoder | None:
    """The decoder, else hearth-tiny; None where there is none or it cannot be told which, and the reason is shown."""
    try:
        return opened.decoder_or_tiny()
    except HearthError as error:
        show_problem(error)
        return None


def show_no_decoder() -> None:
    """That there is nobody to ask, and where one is started, for those who may."""
    st.info(say("prompts.no_decoder"), icon=":material/power_off:")
    _to_health()


def show_if_tiny(decoder: Decoder) -> None:
    """That the very small model answers, and where a better one is started."""
    if opened.is_tiny(decoder):
        st.caption(say("prompts.tiny"))
        _to_health()


def _to_health() -> None:
    if person().admin:  # others have no such page, and Streamlit raises for a link to it
        st.page_link("pages/health.py", label=say("prompts.to_health"), icon=":material/monitor_heart:")


def _described(known: Library, name: str, own: bool) -> str:
    try:
        purpose = known[name].purpose
    except HearthError:
        purpose = say("prompts.unreadable")
    return f"{name}{say('prompts.yours') if own else ''}: {purpose}"


def _show_prompt(known: Library, prefix: str, name: str) -> None:
    prompt = known[name]
    st.subheader(plain(prompt.name))
    st.text(prompt.purpose)
    decoder = find_decoder()
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.markdown(f"#### {say('prompts.variables')}")
        values = values_from_form(prompt)
    messages = None
    with right:
        st.markdown(f"#### {say('prompts.preview')}")
        if values is None:
            st.caption(say("prompts.mend_values"))
        else:
            with problems_shown():
                messages = show_preview(prompt, values, decoder)
    st.subheader(say("prompts.try"))
    if decoder is None:
        show_no_decoder()
    elif messages is not None:
        show_if_tiny(decoder)
        show_try(prompt, messages, decoder)


def _own(prefix: str, name: str) -> None:
    """The file itself: a copy to edit, or one's own to edit and delete."""
    own = prompt_own.is_own(prefix, name)
    title = say("prompts.edit_own" if own else "prompts.edit_copy")
    with st.expander(title, icon=":material/edit:"), problems_shown():
        first = prompt_own.text_of(prefix, name)
        if not own:
            first = prompt_own.as_copy(first, prompt_own.free_name(prefix, name))
        _editor(prefix, name if own else "", first, f"prompt-text-{name}")
    if said := st.session_state.pop("prompt-saved", None):
        st.toast(say("prompts.saved", name=plain(said)), icon=":material/check_circle:")


def _editor(prefix: str, own: str, first: str, key: str) -> None:
    text = st.text_area(say("prompts.file"), value=first, key=key, height=360, help=say("prompts.file_help"))
    save, delete = st.columns(2)
    with save:
        if st.button(say("prompts.save"), key="prompt-save", icon=":material/save:", type="primary"):
            with problems_shown():
                saved = prompt_own.save(prefix, text, replaces=own)
                st.session_state["prompt-saved"] = st.session_state[NEXT] = saved.name
                st.rerun()
    if not own:
        return
    with delete, st.popover(say("prompts.delete"), icon=":material/delete:"):
        st.write(say("prompts.delete_sure", name=plain(own)))
        if st.button(say("prompts.delete_yes"), key="prompt-delete"):
            with problems_shown():
                prompt_own.delete(prefix, own)
                st.session_state.pop(CHOSEN, None)
                st.rerun()
