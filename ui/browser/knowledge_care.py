"""Looking after a knowledge base as a whole: read all again, look over, mend, take along, delete."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from ui.browser import jobs, knowledge_begin, opened
from ui.browser.knowledge_choose import NEW, go_to
from ui.browser.knowledge_failures import jobs_of
from ui.browser.knowledge_names import own_names
from ui.browser.knowledge_uploads import remove_uploads
from ui.browser.person import person
from ui.browser.problems import problems_shown
from ui.browser.strings import say
from ui.cli import wiring

LARGEST = 200_000_000
"""Bytes on the disk up to which it is offered as one file."""


def show_care(kb_name: str, writing: bool) -> None:
    """The buttons, and the way to delete it."""
    st.caption(say("knowledge.care_help"))
    actions = (
        ("again", knowledge_begin.read_again, ":material/refresh:"),
        ("look_over", knowledge_begin.look_over, ":material/fact_check:"),
        ("mend", knowledge_begin.mend, ":material/healing:"),
    )
    there = kb_name in own_names()
    for column, (name, begin, icon) in zip(st.columns([2, 2, 2]), actions, strict=True):
        if column.button(
            say(f"knowledge.{name}"),
            key=f"knowledge-{name.replace('_', '-')}",
            icon=icon,
            disabled=writing or not there,
            help=say(f"knowledge.{name}_help"),
            width="stretch",
        ):
            with problems_shown():
                begin(kb_name)
                st.rerun()
    if there:
        _show_export(kb_name)
    _show_delete(kb_name, writing)


def _show_export(kb_name: str) -> None:
    st.subheader(say("knowledge.export"))
    size = opened.knowledge_base(kb_name).store.size()
    if size is not None and size > LARGEST:
        st.caption(say("knowledge.export_large"))
        st.code(f"hearth kb export {person().shown(kb_name)}.hearth --kb {kb_name}", language=None)
        return
    st.download_button(
        say("knowledge.export_button"),
        data=lambda: exported(kb_name),
        file_name=f"{person().shown(kb_name)}.hearth",
        mime="application/zip",
        key="knowledge-export",
        icon=":material/download:",
        on_click="ignore",
        help=say("knowledge.export_help"),
    )


def exported(kb_name: str) -> bytes:
    """The knowledge base as one file. Raises StoreFailed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export.hearth"
        opened.knowledge_base(kb_name).export(file)
        return file.read_bytes()


def _show_delete(kb_name: str, writing: bool) -> None:
    shown = person().shown(kb_name)
    st.subheader(say("knowledge.delete_all"))
    st.caption(say("knowledge.delete_all_help"))
    typed = st.text_input(say("knowledge.delete_all_type", name=shown), key=f"knowledge-delete-name-{kb_name}")
    if st.button(
        say("knowledge.delete_all_button"),
        key="knowledge-delete-all",
        icon=":material/delete_forever:",
        disabled=writing or typed.strip() != shown,
    ):
        with problems_shown():
            delete_all(kb_name)
            go_to(NEW)


def delete_all(kb_name: str) -> None:
    """The index, the uploads and the jobs of a knowledge base. Raises IndexLocked while it is written, StoreFailed."""
    opened.let_go(kb_name)
    if kb_name in own_names():
        wiring.forget(kb_name)
    remove_uploads(kb_name)
    for job in jobs_of(kb_name, person().id):
        if not job.going:
            jobs.remove(job)
