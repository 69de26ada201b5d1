"""The end of the chat's page: of an empty chat its beginning, else the answer that is being written.

It is a fragment: a question runs this part alone, so that the first words are shown before anything else is drawn
anew. The whole page runs once they stand there, and when the answer has ended.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.browser import chat_answering
from ui.browser.chat_first import show_first
from ui.browser.chat_here import DRAWN, LIVE, Here, anew
from ui.browser.chat_turns import show_question, waiting
from ui.browser.chat_types import Turn
from ui.browser.problems import problems_shown
from ui.browser.safe_text import safe_markdown
from ui.browser.strings import say

ELSEWHERE_SECONDS = 1.0
PARTS = 8
"""How many elements an answer or an empty chat has at most."""


@dataclass(slots=True)
class Drawn:
    """What the whole page drew; `fresh` in that same run."""

    page: Here
    fresh: bool = True


def show_live(page: Here) -> None:
    """What comes after the turns that have ended: of an empty chat its beginning, else the answer under way."""
    _live(Drawn(page))


@st.fragment(key=LIVE)
def _live(drawn: Drawn) -> None:
    with problems_shown():
        fresh, drawn.fresh = drawn.fresh, False
        page = drawn.page if fresh else anew(drawn.page)
        turn = page.running
        here = turn is not None and bool(page.path) and turn.id == page.path[-1].id
        if not fresh and not (here and DRAWN in st.session_state):
            st.rerun()
        if not page.path:
            show_first(page)
        place = _turn(page, turn) if turn is not None and here else None
        st.session_state[DRAWN] = True
        if turn is not None and place is not None:
            _follow(turn, place, None if fresh else chat_answering.before_redraw())
        elif turn is not None:
            _look_again()


def _turn(page: Here, turn: Turn) -> DeltaGenerator:
    """The question, and the place of its answer."""
    with st.container():
        show_question(page, turn)
        with st.chat_message("assistant", avatar=":material/local_fire_department:"):
            place = st.empty()
            clear(PARTS)
    clear(PARTS)
    return place


def clear(parts: int) -> None:
    """Take away at once what the run before drew here; else it would stay until this run ends, with the answer."""
    for _ in range(parts):
        st.empty()


def _follow(turn: Turn, place: DeltaGenerator, seconds: float | None) -> None:
    """Show the answer as it is written, to its end or for so many seconds, then run the page anew.

    Nothing can be drawn after it.
    """
    answering = chat_answering.running(turn.id)
    if answering is None:  # another process writes it, or it ended just now
        place.markdown(safe_markdown(turn.text) or say("chat.elsewhere"))
        _look_again()
        return
    place.caption(waiting(turn))
    until = None if seconds is None else time.monotonic() + seconds
    for text in answering.follow(until):
        if text:
            place.markdown(safe_markdown(text))
        else:
            place.caption(waiting(turn))
    st.rerun()


def _look_again() -> None:
    """Run the page anew in a second: an answer is being written elsewhere, or on another branch than the shown one."""
    time.sleep(ELSEWHERE_SECONDS)
    st.rerun()
