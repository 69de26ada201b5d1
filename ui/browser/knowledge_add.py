"""Adding documents: drop files, a folder, web addresses; and, on one's own machine, folders by their path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from decoder.errors import UsageError
from ui.browser import knowledge_begin
from ui.browser.knowledge_choose import NEW, go_to
from ui.browser.knowledge_names import check_new
from ui.browser.knowledge_uploads import keep_each
from ui.browser.person import person
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.settings import ui_settings
from ui.browser.strings import say

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

REFUSED = "knowledge-refused"
TURN = "knowledge-add-turn"
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Given:
    """What was put into the fields."""

    files: Sequence[UploadedFile] = ()
    urls: tuple[str, ...] = ()
    path: str = ""

    def __bool__(self) -> bool:
        return bool(self.files or self.urls or self.path)


def show_new() -> None:
    """A name, a place to drop files, and the example."""
    st.subheader(say("knowledge.new_title"))
    name = st.text_input(say("knowledge.name"), value=say("knowledge.name_default"), max_chars=64, key="knowledge-name")
    given = _fields()
    first, second, _ = st.columns([2, 3, 4])
    if first.button(say("knowledge.create"), type="primary", key="knowledge-create", icon=":material/add:"):
        with problems_shown():
            _read(check_new(name), given, NEW)
    if knowledge_begin.has_example() and second.button(
        say("knowledge.example"),
        key="knowledge-example",
        icon=":material/auto_stories:",
        help=say("knowledge.example_help"),
    ):
        with problems_shown():
            go_to(knowledge_begin.read_example()[0])
    show_refused(NEW)


def show_add(kb_name: str, open_at_first: bool) -> None:
    """More documents for one that is there."""
    show_refused(kb_name)
    with st.expander(say("knowledge.add"), expanded=open_at_first, icon=":material/upload_file:"):
        given = _fields()
        if st.button(say("knowledge.read"), type="primary", key="knowledge-read", icon=":material/menu_book:"):
            with problems_shown():
                _read(kb_name, given, kb_name)


def show_refused(kb_name: str) -> None:
    """The files of the last upload that were not taken in here, each with the reason."""
    there, refused = st.session_state.get(REFUSED, (NEW, ()))
    if not refused or there != kb_name:
        return
    lines = [say("knowledge.refused", name=plain(name[:200]), why=plain(why)) for name, why in refused[:MOST_TOLD]]
    if len(refused) > MOST_TOLD:
        lines.append(say("knowledge.refused_more", n=len(refused) - MOST_TOLD))
    st.warning("\n\n".join([say("knowledge.refused_title"), *lines]), icon=":material/block:")


def _fields() -> Given:
    turn, most = st.session_state.get(TURN, 0), ui_settings().max_upload_mb
    files = st.file_uploader(
        say("knowledge.files"), accept_multiple_files=True, key=f"knowledge-files-{turn}", max_upload_size=most
    )
    with st.expander(say("knowledge.otherwise")):
        folder = st.file_uploader(
            say("knowledge.folder"),
            accept_multiple_files="directory",
            key=f"knowledge-folder-{turn}",
            max_upload_size=most,
        )
        urls = st.text_area(say("knowledge.urls"), key=f"knowledge-urls-{turn}", height=100)
        path = ""
        if not person().id:
            path = st.text_input(say("knowledge.path"), key=f"knowledge-path-{turn}", help=say("knowledge.path_help"))
    return Given([*files, *folder], tuple(line.strip() for line in urls.splitlines() if line.strip()), path.strip())


def _read(kb_name: str, given: Given, here: str) -> None:
    """Take in what was given on the page of `here` and start reading it.

    Raises:
        UsageError: nothing was given, or something that cannot be read.
    """
    if not given:
        raise UsageError(say("knowledge.reading"), say("knowledge.nothing_given"), say("knowledge.give_something"))
    _check(given)
    kept = keep_each(given.files, kb_name)
    paths = [*kept.paths, *([Path(os.path.expanduser(given.path))] if given.path else [])]  # noqa: PTH111  # see _there
    st.session_state[REFUSED] = (here, kept.refused)
    if paths or given.urls:
        knowledge_begin.read(kb_name, paths, given.urls)
        st.session_state[REFUSED] = (kb_name, kept.refused)
        st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
        go_to(kb_name)
    st.rerun()


def _check(given: Given) -> None:
    from rag.web import is_url

    if len(given.urls) > (most := ui_settings().max_uploads):
        raise UsageError(
            say("knowledge.reading"), say("knowledge.too_many_urls", most=most), say("knowledge.fewer_urls")
        )
    for url in given.urls:
        if not is_url(url):
            cause = say("knowledge.no_address", line=url[:100])
            raise UsageError(say("knowledge.reading"), cause, say("knowledge.address_help"))
    if given.path and (person().id or not _there(given.path)):
        cause = say("knowledge.no_path", path=given.path[:200])
        raise UsageError(say("knowledge.reading"), cause, say("knowledge.path_help"))


def _there(path: str) -> bool:
    """Whether there is something. A ~ of nobody, and what no system call takes, is nothing."""
    try:
        return Path(os.path.expanduser(path)).exists()  # noqa: PTH111  # which raises for an unknown ~name
    except (OSError, ValueError):
        return False
