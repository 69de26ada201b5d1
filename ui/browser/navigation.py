"""Which pages there are, for whom, and how one gets in."""

from __future__ import annotations

import logging
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from decoder.errors import HearthError, MissingExtra
from ui.browser import opened
from ui.browser.entrance import FOR_ADMINS
from ui.browser.person import Person, person, sign_in_configured, sign_in_missed, signed_in
from ui.browser.problems import show_problem
from ui.browser.safe_text import plain
from ui.browser.settings import ui_settings
from ui.browser.strings import say

PAGES = Path(__file__).resolve().parents[1] / "pages"
ICONS = {
    "chat": ":material/chat:",
    "knowledge": ":material/menu_book:",
    "agents": ":material/smart_toy:",
    "prompts": ":material/edit_note:",
    "alignment": ":material/model_training:",
    "pictures": ":material/image:",
    "health": ":material/monitor_heart:",
}
log = logging.getLogger("hearth.ui")


def show() -> None:
    """The page that was asked for, or the way in."""
    if not signed_in():
        st.navigation([st.Page(ask_to_sign_in, title=say("app.sign_in_title"))], position="hidden").run()
        return
    who = person()
    _warm()
    page = st.navigation(pages_for(who))
    if who.id:
        _who_is_in(who)
    try:
        page.run()
    except MissingExtra as error:
        st.info(say("app.missing_extra", command=plain(error.remedy)), icon=":material/inventory_2:")
    except HearthError as error:
        show_problem(error)
    except Exception:
        log.exception("the page %s failed", page.url_path)
        st.error(say("app.page_failed"), icon=":material/error:")


def pages_for(who: Person) -> list[StreamlitPage]:
    """The pages that this person may see; the chat comes first."""
    names = [name for name in ICONS if who.admin or name not in FOR_ADMINS]
    return [
        st.Page(PAGES / f"{name}.py", title=say(f"app.{name}"), icon=ICONS[name], url_path=name, default=name == "chat")
        for name in names
    ]


def ask_to_sign_in() -> None:
    """The way in where people sign in."""
    st.title(say("app.title"))
    if ui_settings().trusted_header:
        st.error(say("app.not_named"))
        return
    if sign_in_missed():
        st.error(say("app.sign_in_missed"))
        return
    st.write(say("app.sign_in_why"))
    if st.button(say("app.sign_in"), type="primary", icon=":material/login:"):
        st.login()


def _who_is_in(who: Person) -> None:
    with st.sidebar:
        st.caption(say("app.signed_in_as", name=plain(who.name)))
        if sign_in_configured() and st.button(say("app.sign_out"), icon=":material/logout:"):
            st.logout()


@st.cache_resource
def _warm() -> bool:
    """Once a process: the embedding model loads while the first page is looked at."""
    opened.warm()
    return True
