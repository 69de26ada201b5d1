"""Errors on a page: one sentence and the remedy for those of the house, no traceback for anybody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from decoder.errors import HearthError
from ui.browser.safe_text import plain
from ui.browser.strings import say

log = logging.getLogger("hearth.ui")


@contextmanager
def problems_shown() -> Iterator[None]:
    """Show an error of the house in place of what was to be done; the page goes on below it."""
    try:
        yield
    except HearthError as error:
        show_problem(error)


def show_problem(error: HearthError) -> None:
    """What went wrong, and what can be done."""
    st.error(plain(f"{error.step}: {error.cause}"), icon=":material/error:")
    if error.remedy:
        st.caption(say("app.remedy", remedy=plain(error.remedy)))
