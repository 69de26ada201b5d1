"""Two answers to one question side by side: the second is drawn by another model or temperature, the better is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from ui.browser import chat_models, chat_tree
from ui.browser.chat_here import COMPARING, Here, ask_again, safely, show_version
from ui.browser.chat_settings import ChatSettings
from ui.browser.chat_types import Turn
from ui.browser.person import person
from ui.browser.safe_text import plain, safe_markdown
from ui.browser.strings import say

if TYPE_CHECKING:
    from ui.browser.feedback_exchange import Given


def compare_button(page: Here, turn: Turn, busy: bool) -> None:
    """A small popover that asks how the second answer is to be made."""
    with st.popover(say("chat.compare"), icon=":material/compare:", type="tertiary", disabled=busy):
        settings = page.settings
        names = ["", *chat_models.models().names]
        model = st.selectbox(
            say("chat.model"),
            names,
            format_func=lambda name: plain(name) if name else say("chat.default"),
            key=f"chat-compare-model-{turn.id}",
        )
        temperature = st.slider(say("chat.temperature"), 0.0, 2.0, 0.8, 0.1, key=f"chat-compare-temperature-{turn.id}")
        other = replace(settings, quote=False, model=model, temperature=temperature)
        st.button(
            say("chat.compare_go"),
            key=f"chat-compare-go-{turn.id}",
            type="primary",
            on_click=safely,
            args=(_draw, page, turn, other),
        )


def _draw(page: Here, turn: Turn, settings: ChatSettings) -> None:
    second = ask_again(page, turn, settings=settings)
    st.session_state[COMPARING] = (turn.id, second.id)


def show_comparison(page: Here) -> bool:
    """The two answers once both are there, with the choice between them. False when nothing is compared."""
    pair = [turn for turn in page.turns if turn.id in st.session_state.get(COMPARING, ())]
    if len(pair) != 2 or page.running is not None:
        return False
    if any(turn.answer is None for turn in pair):
        st.session_state.pop(COMPARING, None)
        return False
    from ui.browser.feedback_view import show_ranking

    st.subheader(say("chat.comparing"))
    st.markdown(safe_markdown(pair[0].question))
    show_ranking(given_of(page, pair[0]), [turn.shown_text for turn in pair], f"chat-ranking-{pair[1].id}")
    _choice(page, pair)
    st.button(
        say("chat.compare_end"),
        key="chat-compare-end",
        type="tertiary",
        on_click=st.session_state.pop,
        args=(COMPARING,),
    )
    return True


def _choice(page: Here, pair: list[Turn]) -> None:
    """Under each answer what wrote it, and the button that keeps it."""
    sides = (("left", say("chat.left"), say("chat.keep_left")), ("right", say("chat.right"), say("chat.keep_right")))
    for column, (key, side, keep), turn in zip(st.columns(2), sides, pair, strict=True):
        with column:
            model = plain(turn.model) if turn.model else say("chat.quote")
            st.caption(say("chat.answer_by", side=side, model=model))
            st.button(keep, key=f"chat-keep-{key}", on_click=safely, args=(_keep, page, turn))


def _keep(page: Here, turn: Turn) -> None:
    show_version(page, turn)
    st.session_state.pop(COMPARING, None)


def given_of(page: Here, turn: Turn) -> Given:
    """A finished turn as feedback takes it."""
    from rag.types import Answer
    from ui.browser.feedback_exchange import Given

    answer = turn.answer or Answer(turn.text)
    before = chat_tree.branch(page.turns, turn.parent) if turn.parent else []
    return Given(
        question=turn.question,
        answer=answer,
        history=chat_tree.heard(before, turn.kb),
        model=turn.model,
        sampling=turn.settings.sampling() if answer.generated else None,
        conversation=turn.conversation,
        person=person().id,
    )
