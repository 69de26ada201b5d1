"""In between: a walk from one code to another, made once, and gone through with a slider."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui.browser import jobs
from ui.browser.person import person
from ui.browser.picture_gallery import Gallery, gallery_of, owner_of
from ui.browser.picture_live import live, newest, show_state
from ui.browser.picture_models import DrawnBy, drawn_by
from ui.browser.picture_runs import every_run
from ui.browser.picture_walk import MOST_STEPS, made_walk, walk_key
from ui.browser.strings import say

FAMILIES = ("vae", "dcgan", "wgan_gp", "biggan", "stylegan")
MOST_SEED = 2**31 - 1


def show_between() -> None:
    """The form of a walk, and its pictures. Raises ModelError, UsageError, ServiceError."""
    who = person()
    runs = {run.id: run for run in every_run(who.prefix, who.admin) if run.finished and run.family in FAMILIES}
    if not runs:
        st.write(say("pictures.between_empty"))
        st.button(say("pictures.go_train"), type="primary", on_click=_go_train, key="pictures-go-train")
        return
    form, pictures = st.columns([2, 3], gap="large")
    with form:
        chosen = st.selectbox(
            say("pictures.model"), list(runs), format_func=lambda each: runs[each].name, key="pictures-between-run"
        )
        with st.spinner(say("pictures.reading_model")):
            asked = _form(chosen, drawn_by(runs[chosen].folder))
        key = walk_key(asked)
        gallery = gallery_of(owner_of(who.id))
        made = made_walk(gallery, key)
        if not made and st.button(
            say("pictures.make_walk"), type="primary", icon=":material/route:", key="pictures-make-walk"
        ):
            spec = {**asked, "owner": owner_of(who.id), "walk": key}
            jobs.start("draw", say("pictures.walking", name=runs[chosen].name), spec, who.id)
            st.rerun()
    with pictures:
        _pictures(gallery, key)


def _form(run: str, about: DrawnBy) -> dict[str, Any]:
    does = st.radio(
        say("pictures.walk_kind"),
        ["walk", "traverse"],
        format_func={"walk": say("pictures.walk"), "traverse": say("pictures.traverse")}.__getitem__,
        key="pictures-walk-kind",
    )
    asked: dict[str, Any] = {"does": does, "run": run, "start": _code(say("pictures.from_code"), "start", about, 1)}
    if does == "walk":
        asked["end"] = _code(say("pictures.to_code"), "end", about, 2)
        asked["way"] = st.selectbox(
            say("pictures.way"),
            ["spherical", "linear"],
            format_func={"spherical": say("pictures.arc"), "linear": say("pictures.line")}.__getitem__,
            key="pictures-way",
            help=say("pictures.way_help"),
        )
    else:
        asked["dimension"] = int(
            st.number_input(say("pictures.dimension"), 0, about.codes - 1, key="pictures-dimension")
        )
        asked["reach"] = st.slider(say("pictures.reach"), 0.5, 5.0, 3.0, key="pictures-reach")
    asked["steps"] = st.slider(say("pictures.walk_steps"), 2, MOST_STEPS, 15, key="pictures-walk-steps")
    if "labels" in about.hears:
        asked["label"] = st.selectbox(
            say("pictures.class"),
            list(range(len(about.class_names))),
            format_func=lambda number: about.class_names[number],
            key="pictures-walk-label",
        )
    return asked


def _code(label: str, name: str, about: DrawnBy, first: int) -> str:
    """A seed, or where the model encodes pictures, the number of a held-out one."""
    held = False
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = f"pictures-{name}-code"
        st.session_state.setdefault(key, first)
        number = int(st.number_input(label, 0, MOST_SEED, key=key))
        if about.encodes:
            held = st.toggle(say("pictures.held_out"), key=f"pictures-{name}-held", help=say("pictures.held_out_help"))
    return f"picture:{number}" if held else str(number)


def _pictures(gallery: Gallery, key: str) -> None:
    files = made_walk(gallery, key)
    if not files:
        job = newest("draw", ("walk", "traverse"), walk=key)
        if job is None:
            st.caption(say("pictures.walk_not_made"))
        else:
            live(job, lambda now: show_state(now, f"pictures-stop-{now.id}"))
        return
    at = st.slider(say("pictures.walk_at"), 1, len(files), key=f"pictures-at-{key[:16]}")
    st.image(files[at - 1].read_bytes(), width=320, caption=say("pictures.walk_of", number=at, count=len(files)))
    with st.expander(say("pictures.walk_all")):
        st.image(gallery.walk(key).joinpath("all.png").read_bytes(), width="stretch", alt=say("pictures.walk_all"))


def _go_train() -> None:
    st.session_state["pictures-view"] = "train"
