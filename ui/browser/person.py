"""Who looks at the page: nobody in particular, or whom sign-in or a trusted proxy names.

People see their own conversations, knowledge bases and feedback. Without sign-in there is one person, who sees all.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import streamlit as st
from streamlit import config
from streamlit.runtime.pages_manager import PagesManager

from ui.browser.settings import ui_settings

LONGEST = 200
LOOK_SECONDS = 2.0
"""Where there are no secrets, Streamlit would look for their files at each question, and a page asks often."""
_absent: tuple[object, float] = (None, 0.0)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody.

    Attributes:
        id: what their things are kept under; empty where nobody signs in.
        name: to show.
        admin: may train, serve models and look at the machine.
    """

    id: str = ""
    name: str = ""
    admin: bool = True

    @property
    def prefix(self) -> str:
        """What the names of their knowledge bases begin with."""
        return f"u{hashlib.sha256(self.id.encode()).hexdigest()[:10]}-" if self.id else ""

    def own(self, names: list[str]) -> list[str]:
        """Those of these knowledge bases that are theirs, by full name."""
        return [name for name in names if name.startswith(self.prefix)]

    def shown(self, knowledge_base: str) -> str:
        """The name of a knowledge base as they gave it."""
        return knowledge_base.removeprefix(self.prefix)


def sign_in_configured() -> bool:
    """Streamlit's secrets hold an [auth] section."""
    global _absent
    secrets, until = _absent
    if secrets is st.secrets and time.monotonic() < until:
        return False
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        _absent = (st.secrets, time.monotonic() + LOOK_SECONDS)
        return False


def signed_in() -> bool:
    """Whether a page may be shown: nobody has to sign in, or somebody has."""
    if ui_settings().trusted_header:
        return bool(_header())
    return not sign_in_configured() or bool(st.user.is_logged_in)


def person() -> Person:
    """Who looks at this page. Whoever has not signed in sees no more of it."""
    _through_the_app()
    if not signed_in():
        st.stop()
    if ui_settings().trusted_header:
        return _named(_header(), _header())
    if not sign_in_configured():
        return Person()
    claims = st.user.to_dict()
    name = str(claims.get("name") or claims.get("email") or claims.get("sub"))
    found = _named(f"{claims.get('iss', '')}|{claims['sub']}", name[:LONGEST])
    verified = str(claims.get("email", "")) if claims.get("email_verified") else ""
    return Person(found.id, found.name, _is_admin(found.id, verified))


def _through_the_app() -> None:
    """Until app.py has run once in a process, Streamlit takes an address such as /agents for the file pages/agents.py
    and runs that alone, past the sign-in. Then it is told otherwise, and to begin again.
    """
    if PagesManager.uses_pages_directory and not config.get_option("global.appTest"):  # an AppTest does so at each run
        PagesManager.uses_pages_directory = False
        st.rerun()


def _header() -> str:
    return (st.context.headers.get(ui_settings().trusted_header) or "").strip()[:LONGEST]


def _named(identity: str, name: str) -> Person:
    return Person(identity, name, _is_admin(identity))


def _is_admin(*names: str) -> bool:
    admins = [each.strip() for each in ui_settings().admins.split(",") if each.strip()]
    return any(name in admins for name in names if name)
