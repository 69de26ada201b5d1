"""The dialog in which a source is read: its page as a picture, or its lines, or at least the words that were kept."""

from __future__ import annotations

import streamlit as st

from decoder.errors import HearthError
from rag.errors import DocumentChanged
from ui.browser import opened
from ui.browser.person import person
from ui.browser.problems import show_problem
from ui.browser.safe_text import plain
from ui.browser.source_download import offer_original
from ui.browser.source_lines import numbered, window
from ui.browser.source_lookup import Found, Source, look_up, pages_of, quoted
from ui.browser.source_names import location_of, name_of, shortened
from ui.browser.strings import say

AROUND, MORE = 5, 20
"""Lines on either side of the cited ones, and how many more each time they are asked for."""
WIDTH = 820
"""Pixels of a page's picture, where there is room for so many."""


def open_source(source: Source, kb_name: str, key: str) -> None:
    """Open the dialog, at the page or the lines that are cited."""
    st.session_state[f"{key}-page"] = source.first.page
    st.session_state[f"{key}-around"] = AROUND
    title = say("sources.title", number=source.marker, name=plain(shortened(name_of(source.first.source))))
    st.dialog(title, width="large")(read_source)(source, kb_name, key)


def read_source(source: Source, kb_name: str, key: str) -> None:
    """What the dialog holds."""
    try:
        found = _found(source, kb_name)
    except HearthError as error:
        show_problem(error)
        _show_kept(source)
        return
    if found is None:
        st.info(say("sources.gone"), icon=":material/info:")
        _show_kept(source)
    elif found.is_pdf:
        _show_page(found, source, key)
        offer_original(found, kb_name, source, key)
    else:
        _show_lines(found, source, key)
        offer_original(found, kb_name, source, key)


def _found(source: Source, kb_name: str) -> Found | None:
    """The document, where the knowledge base is there, is this person's, and holds it."""
    from rag.knowledge import KnowledgeBase

    if kb_name not in person().own(KnowledgeBase.list()):
        return None
    return look_up(opened.knowledge_base(kb_name), source)


def _show_kept(source: Source) -> None:
    """The words as they were when the answer was made."""
    st.caption(say("sources.kept", place=plain(location_of(source.first))))
    for citation in source.citations:
        st.code(citation.quote, language=None, wrap_lines=True)


# A page of a PDF


def _show_page(found: Found, source: Source, key: str) -> None:
    from rag.page_picture import draw_page

    page = int(st.session_state.get(f"{key}-page") or source.first.page or 1)
    cited = page in pages_of(source.citations)
    quotes = quoted(found, source) if cited else ()
    try:
        picture = draw_page(found.file or "", page, quotes, content_hash=found.hash)
    except DocumentChanged as error:
        show_problem(error)
        _show_kept(source)
        return
    except HearthError as error:
        show_problem(error)
        _show_lines(found, source, key)
        return
    _show_turning(page, picture.pages, key)
    name = shortened(name_of(source.first.source))
    outlined = "sources.alt_outlined" if picture.found else "sources.alt"
    with st.container(horizontal_alignment="center"):
        st.image(picture.png, alt=say(outlined, page=page, name=name), width=WIDTH)
    if cited and not picture.found:
        st.info(say("sources.not_outlined"), icon=":material/info:")
    with st.expander(say("sources.words"), expanded=cited and not picture.found):
        for citation in source.citations:
            st.code(citation.quote, language=None, wrap_lines=True)


def _show_turning(page: int, pages: int, key: str) -> None:
    """Both buttons stay enabled: one that is disabled under the pointer loses the focus, and Escape its dialog."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.button(
            say("sources.previous_page"),
            key=f"{key}-previous",
            icon=":material/chevron_left:",
            on_click=_turn,
            args=(key, max(1, page - 1)),
        )
        st.markdown(say("sources.page_of", page=page, pages=pages), width="content")
        st.button(
            say("sources.next_page"),
            key=f"{key}-next",
            icon=":material/chevron_right:",
            icon_position="right",
            on_click=_turn,
            args=(key, min(pages, page + 1)),
        )


def _turn(key: str, page: int) -> None:
    st.session_state[f"{key}-page"] = page


# Lines of a text


def _show_lines(found: Found, source: Source, key: str) -> None:
    if not found.places:
        st.info(say("sources.changed"), icon=":material/info:")
        _show_kept(source)
        return
    around = int(st.session_state.get(f"{key}-around", AROUND))
    last = found.text.count("\n") + 1
    first, end = window(found.lines, last, around)
    st.caption(say("sources.lines", first=first, last=end, all=last))
    for cited, lines in numbered(found.text, found.lines, first, end, found.places[0][0]):
        if not cited:
            st.code(lines, language=None, wrap_lines=True)
            continue
        with st.container(border=True):
            st.badge(say("sources.cited"), icon=":material/format_quote:", color="blue")
            st.code(lines, language=None, wrap_lines=True)
    if first > 1 or end < last:
        st.button(say("sources.more"), key=f"{key}-more", on_click=_widen, args=(key, around + MORE))


def _widen(key: str, around: int) -> None:
    st.session_state[f"{key}-around"] = around
