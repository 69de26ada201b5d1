"""The sources below an answer: a chip for each, which opens the passage in its place; the nearest ones of a refusal."""

from __future__ import annotations

import streamlit as st

from rag.types import Answer
from ui.browser.safe_text import plain
from ui.browser.source_dialog import open_source
from ui.browser.source_lookup import Source, nearest_of, sources_of
from ui.browser.source_names import location_of
from ui.browser.strings import say

LINES, CHARACTERS = 4, 400
"""Of a passage, as the list of the nearest shows it."""


def show_sources(answer: Answer, kb_name: str, key: str) -> None:
    """What an answer rests on; for a refusal what came nearest. Nothing for an answer without sources.

    Args:
        kb_name: the full name of the knowledge base that was asked.
        key: of the widgets, another for each answer on a page.
    """
    if answer.refused:
        _show_nearest(answer, kb_name, key)
    elif sources := sources_of(answer):
        st.caption(say("sources.below"))
        with st.container(horizontal=True, gap="small", key=f"{key}-sources"):
            for number, source in enumerate(sources):
                _chip(source, kb_name, f"{key}-source-{number}")


def _chip(source: Source, kb_name: str, key: str) -> None:
    where = location_of(source.first)
    label = say("sources.chip", number=source.marker, place=plain(where))
    if st.button(label, key=key, help=say("sources.chip_help"), type="secondary"):
        open_source(source, kb_name, key)


def _show_nearest(answer: Answer, kb_name: str, key: str) -> None:
    with st.expander(say("sources.nearest"), icon=":material/manage_search:", key=f"{key}-nearest"):
        if not answer.passages:
            st.caption(say("sources.nothing_near"))
            return
        st.caption(say("sources.nearest_why"))
        for source, hit in zip(nearest_of(answer), answer.passages, strict=True):
            place = plain(location_of(hit.passage))
            st.markdown(say("sources.nearest_one", number=source.marker, place=place, score=f"{hit.score:.2f}"))
            st.code(_first_lines(hit.passage.text), language=None, wrap_lines=True)
            button = f"{key}-near-{source.marker}"
            label, icon = say("sources.open", number=source.marker), ":material/visibility:"
            if st.button(label, key=button, icon=icon, type="tertiary"):
                open_source(source, kb_name, button)


def _first_lines(text: str) -> str:
    lines = text.strip("\n").split("\n")
    shown = "\n".join(lines[:LINES])[:CHARACTERS]
    return shown if shown == text.strip("\n") else f"{shown} …"
