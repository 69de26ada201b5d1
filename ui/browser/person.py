"""Who looks at the page: nobody in particular, or whom sign-in or a trusted proxy names.

People see their own conversations, knowledge bases and feedback. Without sign-in there is one person, who sees all.
"""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit import config
from streamlit.runtime.pages_manager import PagesManager

from decoder.settings import home
from ui.browser.ownership import prefix_of
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
        return prefix_of(self.id)

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


def sign_in_missed() -> bool:
    """Sign-in is set up and does not hold: a file of secrets is damaged, or is that of Hearth's home and this process
    was started without it, as by `streamlit run` alone. For Streamlit, both are as if there were none.
    """
    if sign_in_configured():
        return False
    files = {home() / "secrets.toml", *(Path(each).expanduser() for each in config.get_option("secrets.files"))}
    return any(_wants_sign_in(file) for file in files if file.is_file())


def _wants_sign_in(file: Path) -> bool:
    try:
        return "auth" in tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True


def signed_in() -> bool:
    """Whether a page may be shown: nobody has to sign in, or somebody has."""
    if ui_settings().trusted_header:
        return bool(_header())
    if sign_in_configured():
        return bool(st.user.is_logged_in)
    return not sign_in_missed()


def person() -> Person:
    """Who looks at this page. Whoever has not signed in sees no more of it."""
    _through_the_app()
    if not signed_in():
        st.stop()
    if ui_settings().trusted_header:
        return _named(_header(), _header()[:LONGEST])
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
    """What the proxy says; nothing where the header comes twice, since one of them may be the visitor's own."""
    found = st.context.headers.get_all(ui_settings().trusted_header)
    return found[0].strip() if len(found) == 1 else ""


def _named(identity: str, name: str) -> Person:
    return Person(identity, name, _is_admin(identity))


def _is_admin(*names: str) -> bool:
    admins = [each.strip() for each in ui_settings().admins.split(",") if each.strip()]
    return any(name in admins for name in names if name)
