"""Thumbs, a comment and a better answer below an answer; two answers side by side, to say which is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from decoder.errors import HearthError
from ui.browser import feedback_exchange as kept
from ui.browser.feedback_exchange import Given, Said, Verdict
from ui.browser.problems import problems_shown, show_problem
from ui.browser.safe_text import plain, safe_markdown
from ui.browser.strings import say

VERDICTS: tuple[Verdict, ...] = ("left", "right", "both", "neither")
ICONS = {
    "left": ":material/arrow_back:",
    "right": ":material/arrow_forward:",
    "both": ":material/thumbs_up_down:",
    "neither": ":material/thumb_down:",
}
MOST_CHARACTERS = 20_000
SAID = "-feedback-said"
"""Ends the keys under which a session keeps what the store says of an answer."""


def show_feedback(given: Given, key: str) -> None:
    """What this person can say, and has said, of an answer.

    Args:
        key: of the widgets, another for each answer on a page.
    """
    _show_problem(key)
    with problems_shown():
        said = _said(given, key)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{key}-feedback"):
            _thumbs(given, said, key)
            _comment(given, said, key)
            _better(given, said, key)


def _said(given: Given, key: str) -> Said:
    """What is in the store, read once a session for each answer, and again after each change."""
    state = st.session_state.get(f"{key}{SAID}")
    if state is None or state[0] != given:
        st.session_state[f"{key}{SAID}"] = state = (given, kept.said(given))
        st.session_state.pop(f"{key}-thumbs", None)
    found: Said = state[1]
    return found


def _thumbs(given: Given, said: Said, key: str) -> None:
    widget = f"{key}-thumbs"
    if widget not in st.session_state:
        st.session_state[widget] = None if said.vote is None else int(said.vote.vote > 0)
    st.feedback("thumbs", key=widget, on_change=_vote, args=(given, key))


def _vote(given: Given, key: str) -> None:
    chosen = st.session_state.get(f"{key}-thumbs")
    _do(key, lambda: kept.keep_vote(given, 0 if chosen is None else 1 if chosen else -1))


def _comment(given: Given, said: Said, key: str) -> None:
    label = say("feedback.comment") if said.comment is None else say("feedback.comment_given")
    icon = ":material/comment:" if said.comment is None else ":material/check:"
    with st.popover(label, icon=icon, type="tertiary", key=f"{key}-comment-open"):
        before = "" if said.comment is None else said.comment.comment
        text = f"{key}-comment"
        st.text_area(say("feedback.comment_label"), before, key=text, max_chars=MOST_CHARACTERS)
        with st.container(horizontal=True):
            st.button(say("feedback.comment_save"), key=f"{text}-save", on_click=_save_comment, args=(given, key))
            if said.comment is not None:
                _take_back_button(given, "comment", key)


def _save_comment(given: Given, key: str) -> None:
    text = str(st.session_state.get(f"{key}-comment", "")).strip()
    if text:
        _do(key, lambda: kept.keep_comment(given, text))


def _better(given: Given, said: Said, key: str) -> None:
    label = say("feedback.better") if said.edit is None else say("feedback.better_given")
    icon = ":material/edit:" if said.edit is None else ":material/check:"
    with st.popover(label, icon=icon, type="tertiary", key=f"{key}-better-open"):
        before = given.answer.text if said.edit is None else said.edit.edit
        text = f"{key}-better"
        st.text_area(say("feedback.better_label"), before, key=text, height=240)
        if st.session_state.pop(f"{key}-same", False):
            st.info(say("feedback.better_same"), icon=":material/info:")
        with st.container(horizontal=True):
            st.button(say("feedback.better_save"), key=f"{text}-save", on_click=_save_better, args=(given, key))
            if said.edit is not None:
                _take_back_button(given, "edit", key)


def _save_better(given: Given, key: str) -> None:
    text = str(st.session_state.get(f"{key}-better", "")).strip()
    if text in ("", given.answer.text.strip()):
        st.session_state[f"{key}-same"] = True
    else:
        _do(key, lambda: kept.keep_edit(given, text))


def _take_back_button(given: Given, kind: str, key: str) -> None:
    label, widget = say("feedback.take_back"), f"{key}-{kind}-back"
    st.button(label, key=widget, icon=":material/undo:", on_click=_take_back, args=(given, kind, key))


def _take_back(given: Given, kind: str, key: str) -> None:
    def work() -> None:
        event = getattr(kept.said(given), kind)
        kept.take_back(given, [event] if event is not None else [])

    _do(key, work)
    st.session_state.pop(f"{key}-{'better' if kind == 'edit' else kind}", None)


# Two answers


def show_ranking(given: Given, answers: Sequence[str], key: str) -> None:
    """Two answers to one question side by side, and which is better.

    Args:
        answers: the left one and the right one.
        key: of the widgets.
    """
    left, right = answers
    for column, name, text in zip(st.columns(2), ("left_answer", "right_answer"), (left, right), strict=True):
        with column, st.container(border=True):
            st.markdown(f"**{say(f'feedback.{name}')}**")
            st.markdown(safe_markdown(text))
    if left == right:
        st.info(say("feedback.rank_same"), icon=":material/info:")
        return
    _show_problem(key)
    with problems_shown():
        ranked = kept.ranked(given, answers)
        if ranked is None:
            _ask(given, answers, key)
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/check: {say(f'feedback.given_{ranked.verdict}')}", width="content")
            back, icon = say("feedback.take_back"), ":material/undo:"
            args = (given, answers, key)
            st.button(back, key=f"{key}-rank-back", icon=icon, type="tertiary", on_click=_unrank, args=args)
        if ranked.event.comment:
            st.caption(plain(ranked.event.comment))


def _ask(given: Given, answers: Sequence[str], key: str) -> None:
    st.caption(say("feedback.rank_question"))
    st.text_input(say("feedback.rank_comment"), key=f"{key}-rank-comment", max_chars=MOST_CHARACTERS)
    with st.container(horizontal=True):
        for verdict in VERDICTS:
            st.button(
                say(f"feedback.{verdict}"),
                key=f"{key}-{verdict}",
                icon=ICONS[verdict],
                on_click=_rank,
                args=(given, answers, verdict, key),
            )


def _rank(given: Given, answers: Sequence[str], verdict: Verdict, key: str) -> None:
    comment = str(st.session_state.get(f"{key}-rank-comment", "")).strip()
    _do(key, lambda: kept.keep_ranking(given, answers, verdict, comment))
    _forget_thumbs()


def _unrank(given: Given, answers: Sequence[str], key: str) -> None:
    _do(key, lambda: kept.take_back_ranking(given, answers))
    _forget_thumbs()


def _forget_thumbs() -> None:
    """What is said of two answers may be a thumb on each, which may stand elsewhere on the page."""
    for name in [name for name in st.session_state if str(name).endswith(SAID)]:
        del st.session_state[name]


# What a press does


def _do(key: str, work: Callable[[], None]) -> None:
    """Do it now, before the page runs; an error is shown where the buttons are. What is kept is read again."""
    try:
        work()
    except HearthError as error:
        st.session_state[f"{key}-problem"] = error
    st.session_state.pop(f"{key}{SAID}", None)


def _show_problem(key: str) -> None:
    problem = st.session_state.pop(f"{key}-problem", None)
    if problem is not None:
        show_problem(problem)
