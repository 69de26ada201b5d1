"""The cards at the top: decoder, passages, machine. Each says a state in words, its figures, and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.browser.health_decoder import DecoderStatus, decoder_status
from ui.browser.health_machine import Gpu, gpus, machine, size
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from rag.store_status import StoreStatus

HEIGHT = 330
OK, OFF, BAD = ":material/check_circle:", ":material/radio_button_unchecked:", ":material/error:"


def show_cards() -> None:
    """The three, side by side."""
    left, middle, right = st.columns(3)
    with left, st.container(border=True, height=HEIGHT):
        st.subheader(say("health.decoder"))
        _decoder(_pinged())
    with middle, st.container(border=True, height=HEIGHT):
        st.subheader(say("health.store"))
        _store(_stored())
    with right, st.container(border=True, height=HEIGHT):
        st.subheader(say("health.machine"))
        _machine()


def look_again() -> None:
    """Forget what the cards keep for half a minute."""
    _pinged.clear()
    _stored.clear()
    _gpus.clear()


@st.cache_data(ttl=30, show_spinner=False)
def _pinged() -> DecoderStatus:
    return decoder_status()


@st.cache_data(ttl=30, show_spinner=False)
def _stored() -> StoreStatus:
    from rag.settings import rag_settings
    from rag.store_status import store_status

    return store_status(rag_settings())


@st.cache_data(ttl=10, show_spinner=False)
def _gpus() -> list[Gpu]:
    return gpus()


def _decoder(found: DecoderStatus) -> None:
    if found.latency is not None:
        st.markdown(f"{OK} **{say('health.answers')}**")
        st.caption(say("health.latency", ms=round(1000 * found.latency)))
        st.text(found.place)
        st.caption(say("health.model"))
        st.text(found.model)
        if others := [name for name in found.models if name != found.model]:
            st.caption(say("health.also"))
            st.text(", ".join(others))
    elif found.error:
        st.markdown(f"{BAD} **{say('health.no_answer')}**")
        st.text(found.place or found.error)
        st.caption(plain(found.error))
        if found.remedy:
            st.caption(say("app.remedy", remedy=plain(found.remedy)))
    else:
        st.markdown(f"{OFF} **{say('health.none_set')}**")
        st.caption(say("health.none_set_what"))


def _store(found: StoreStatus) -> None:
    if found.error:
        st.markdown(f"{BAD} **{say('health.no_answer')}**")
        st.text(found.place)
        st.caption(plain(found.error))
        return
    st.markdown(f"{OK} **{say(f'health.store_{found.store}')}**")
    if found.place:
        st.text(found.place)
    if found.store == "edge":
        st.caption(say("health.store_files", indexes=found.indexes, files=found.files, size=size(found.size)))
    elif found.version:
        st.caption(say("health.store_version", version=plain(found.version)))


def _machine() -> None:
    now = machine()
    used = 1 - now.disk_free / now.disk_total
    disk = say("health.disk", free=size(now.disk_free), total=size(now.disk_total))
    st.progress(used, text=disk)
    if now.memory_available is not None:
        memory = say("health.memory", free=size(now.memory_available), total=size(now.memory_total))
        st.progress(1 - now.memory_available / now.memory_total, text=memory)
    if now.load is not None:
        cpu = say("health.cpu", load=f"{now.load:.1f}", cores=now.cores)
        st.progress(min(1.0, now.load / now.cores), text=cpu)
    found = _gpus()
    if not found:
        st.caption(say("health.no_gpu"))
    for gpu in found:
        st.caption(
            say(
                "health.gpu", name=plain(gpu.name), used=plain(gpu.memory_used), total=plain(gpu.memory_total),
                use=plain(gpu.use),
            )
        )  # fmt: skip
