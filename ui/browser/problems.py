"""Errors on a page: one sentence and the remedy for those of the house, no traceback for anybody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st

from decoder.errors import HearthError
from ui.browser.safe_text import plain
from ui.browser.strings import say

P = ParamSpec("P")
log = logging.getLogger("hearth.ui")


@contextmanager
def problems_shown() -> Iterator[None]:
    """Show an error of the house in place of what was to be done; the page goes on below it."""
    try:
        yield
    except HearthError as error:
        show_problem(error)


@contextmanager
def apart() -> Iterator[None]:
    """As `problems_shown`, for a part of a page that others stand below: even a bug in it takes them not away."""
    with problems_shown():
        try:
            yield
        except HearthError:
            raise
        except Exception:
            log.exception("a part of a page failed")
            st.error(say("app.page_failed"), icon=":material/error:")


def live(part: Callable[P, None], every: float | None) -> Callable[P, None]:
    """A fragment that is drawn anew every so many seconds, and `apart` each time: no page stands round it then."""

    @wraps(part)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        with apart():
            part(*args, **kwargs)

    return st.fragment(drawn, run_every=every)


def show_problem(error: HearthError) -> None:
    """What went wrong, and what can be done."""
    st.error(plain(f"{error.step}: {error.cause}"), icon=":material/error:")
    if error.remedy:
        st.caption(say("app.remedy", remedy=plain(error.remedy)))
