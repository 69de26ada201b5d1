"""How the conversation is answered, as a form at the side: knowledge base, model, prompt, sampling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from decoder import tiny
from ui.browser import chat_models, chat_prompts
from ui.browser.chat_here import Here, configure, safely
from ui.browser.chat_models import Models
from ui.browser.chat_settings import MOST_TOKENS, ChatSettings
from ui.browser.person import person
from ui.browser.problems import show_problem
from ui.browser.safe_text import plain
from ui.browser.strings import say

QUOTE = "\0quote"
"""Stands for no model among models' names; none can be called so."""
ROUND = "chat-settings-round"


def show_settings(page: Here) -> None:
    """The form; a change holds from the next question on."""
    with st.popover(say("chat.settings"), icon=":material/tune:", width="stretch"):
        where = f"{page.id}-{st.session_state.get(ROUND, 0)}"
        kb = _knowledge_base(page, where)
        settings = _sampling(_prompt(_model(page.settings, where), bool(kb), where), where)
        if (kb, settings) != (page.kb, page.settings):
            safely(configure, page, kb, settings)
            st.rerun()
        st.button(say("chat.reset"), key="chat-reset", icon=":material/restart_alt:", on_click=_reset, args=(page,))


def _reset(page: Here) -> None:
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1  # widgets of another round begin anew
    safely(configure, page, page.kb, ChatSettings())


def _knowledge_base(page: Here, where: str) -> str:
    names = ["", *page.names]
    if page.kb not in names:
        names.append(page.kb)
    chosen: str = st.selectbox(
        say("chat.kb"),
        names,
        names.index(page.kb),
        format_func=lambda name: plain(person().shown(name)) if name else say("chat.no_kb"),
        key=f"chat-kb-{where}-{page.kb}",
    )
    return chosen


def _model(settings: ChatSettings, where: str) -> ChatSettings:
    listed = chat_models.models()
    names = ["", *listed.names]
    if not (listed.decoder or listed.asking) and tiny.is_usable():
        names.append(tiny.NAME)
    if settings.model not in names:
        names.append(settings.model)
    names.append(QUOTE)
    now = QUOTE if settings.quote else settings.model
    chosen = st.selectbox(
        say("chat.model"),
        names,
        names.index(now),
        format_func=lambda name: _model_name(name, listed),
        key=f"chat-model-{where}",
    )
    if listed.problem is not None:
        show_problem(listed.problem)
    elif not listed.decoder and not listed.asking:
        st.caption(say("chat.no_model"))
    return replace(settings, quote=chosen == QUOTE, model="" if chosen == QUOTE else chosen)


def _model_name(name: str, listed: Models) -> str:
    if name == QUOTE:
        return say("chat.quote")
    if name:
        return plain(name)
    meant = listed.promoted or next(iter(listed.names), "")
    return say("chat.default_model", name=plain(meant)) if meant else say("chat.default")


def _prompt(settings: ChatSettings, grounded: bool, where: str) -> ChatSettings:
    default = "grounded-answer" if grounded else ""
    names = ["", *(name for name in chat_prompts.fitting(grounded) if name != default)]
    now = settings.prompt if settings.prompt in names else ""
    chosen = st.selectbox(
        say("chat.prompt"),
        names,
        names.index(now),
        format_func=lambda name: plain(name) if name else say("chat.grounded" if grounded else "chat.no_prompt"),
        key=f"chat-prompt-{where}-{grounded}",
    )
    return replace(settings, prompt=chosen)


def _sampling(settings: ChatSettings, where: str) -> ChatSettings:
    def number(label: str, name: str, low: Any, high: Any, step: Any) -> Any:
        return st.number_input(
            label,
            low,
            high,
            getattr(settings, name),
            step,
            placeholder=say("chat.default"),
            key=f"chat-{name}-{where}",
        )

    return replace(
        settings,
        temperature=number(say("chat.temperature"), "temperature", 0.0, 2.0, 0.1),
        top_p=number(say("chat.top_p"), "top_p", 0.05, 1.0, 0.05),
        max_tokens=number(say("chat.max_tokens"), "max_tokens", 1, MOST_TOKENS, 64),
        seed=number(say("chat.seed"), "seed", 0, 2**31, 1),
    )
