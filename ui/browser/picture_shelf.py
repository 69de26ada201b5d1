"""The gallery as it is seen: pages of pictures, newest first, and one of them with how it was made."""

from __future__ import annotations

from typing import Any

import streamlit as st

from decoder.errors import HearthError
from ui.browser import jobs
from ui.browser.jobs import Job
from ui.browser.person import person
from ui.browser.picture_gallery import Gallery, gallery_of, owner_of
from ui.browser.picture_live import live, newest, show_state
from ui.browser.picture_made import again_settings, enlarged, facts_of
from ui.browser.problems import problems_shown, show_problem
from ui.browser.safe_text import plain
from ui.browser.strings import say

A_PAGE = 24
SIDE = 112
"""Pixels of a picture's side; as many stand in a row as there is room for."""


def show_gallery() -> None:
    """The pictures, or the one that was opened."""
    gallery = gallery_of(owner_of(person().id))
    every = gallery.every()
    opened = st.session_state.get("pictures-open")
    if opened in every:
        _one(gallery, every, opened)
    elif every:
        _page(gallery, every)
    else:
        st.write(say("pictures.gallery_empty"))
        st.button(say("pictures.go_draw"), type="primary", on_click=_go_draw, key="pictures-go-draw")


def _page(gallery: Gallery, every: list[str]) -> None:
    pages = (len(every) + A_PAGE - 1) // A_PAGE
    st.caption(say("pictures.gallery_count", count=len(every)))
    number = st.session_state.get("pictures-page", 1) if pages > 1 else 1
    shown = every[(min(number, pages) - 1) * A_PAGE :][:A_PAGE]
    with st.container(horizontal=True):
        for picture in shown:
            with st.container(width=SIDE):
                st.image(enlarged(gallery.file(picture).read_bytes()), width="stretch", alt=_when(picture))
                st.button(
                    say("pictures.open"),
                    key=f"pictures-open-{picture}",
                    help=_when(picture),
                    on_click=_open,
                    args=(picture,),
                    width="stretch",
                )
    if pages > 1:
        st.session_state["pictures-page"] = min(number, pages)
        st.number_input(say("pictures.page_of", pages=pages), 1, pages, key="pictures-page")


def _one(gallery: Gallery, every: list[str], picture: str) -> None:
    at = every.index(picture)
    back, before, after, _ = st.columns([2, 1, 1, 4])
    back.button(say("pictures.back"), icon=":material/arrow_back:", on_click=_open, args=("",), key="pictures-back")
    before.button(say("pictures.newer"), on_click=_open, args=(every[at - 1],), disabled=at == 0, key="pictures-newer")
    older = every[at + 1] if at + 1 < len(every) else ""
    after.button(say("pictures.older"), on_click=_open, args=(older,), disabled=not older, key="pictures-older")
    file = gallery.file(picture)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.image(enlarged(file.read_bytes()), width="stretch", caption=plain(_when(picture)))
        _actions(gallery, picture)
    with right:
        st.subheader(say("pictures.how_made"))
        try:
            facts = facts_of(file)
        except HearthError as error:
            show_problem(error)
        else:
            rows = [{say("pictures.what"): name, say("pictures.value"): value} for name, value in facts]
            st.dataframe(rows, hide_index=True, width="stretch", alt=say("pictures.how_made"))
        _reproduction(picture)


def _actions(gallery: Gallery, picture: str) -> None:
    asked = gallery.asked(picture)
    with st.container(horizontal=True):
        if st.button(say("pictures.reproduce"), icon=":material/replay:", key="pictures-reproduce", disabled=not asked):
            with problems_shown():
                owner = owner_of(person().id)
                spec = {"does": "reproduce", "picture": picture, "owner": owner}
                jobs.start("draw", say("pictures.reproducing"), spec, person().id)
                st.rerun()
        st.button(
            say("pictures.use_settings"),
            icon=":material/tune:",
            key="pictures-use",
            disabled=not asked,
            on_click=_use,
            args=(asked,),
        )
        st.download_button(
            say("pictures.download"),
            gallery.file(picture).read_bytes(),
            f"hearth-{picture}.png",
            "image/png",
            icon=":material/download:",
            key="pictures-download",
            on_click="ignore",
        )
        with st.popover(say("pictures.delete"), icon=":material/delete:"):
            st.write(say("pictures.delete_sure"))
            if st.button(say("pictures.delete_yes"), key="pictures-delete", type="primary"):
                gallery.delete(picture)
                st.session_state["pictures-open"] = ""
                st.rerun()


def _reproduction(picture: str) -> None:
    job = newest("draw", ("reproduce",), picture=picture)
    if job is not None:
        live(job, _show_reproduction)


def _show_reproduction(job: Job) -> None:
    if job.state != "done":
        show_state(job, f"pictures-stop-{job.id}")
        return
    result: Any = job.result
    if result.get("equal"):
        st.success(say("pictures.equal"), icon=":material/check_circle:")
    else:
        st.warning(
            say("pictures.differs", value=int(result.get("largest_difference", 0))), icon=":material/difference:"
        )
        if (job.folder / "again.png").is_file():
            st.image(enlarged((job.folder / "again.png").read_bytes()), width=256, caption=say("pictures.again"))
    for note in result.get("notes") or ():
        st.caption(plain(str(note)))


def _when(picture: str) -> str:
    """As in "2026-11-30 12:00:05 UTC, picture 3"."""
    day, clock = picture[:8], picture[9:15]
    moment = f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}:{clock[4:]} UTC"
    return say("pictures.drawn_when", moment=moment, number=int(picture[-3:]) + 1)


def _open(picture: str) -> None:
    st.session_state["pictures-open"] = picture


def _use(asked: dict[str, Any]) -> None:
    for key, value in again_settings(asked).items():
        st.session_state[key] = value
    _go_draw()


def _go_draw() -> None:
    st.session_state["pictures-view"] = "draw"
