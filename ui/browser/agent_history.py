"""The runs and the notes of a person, below the form."""

from __future__ import annotations

import time

import streamlit as st

from ui.browser import agent_runs
from ui.browser.agent_choice import open_run
from ui.browser.agent_making import notes_folder
from ui.browser.job_shown import ICONS
from ui.browser.jobs import Job
from ui.browser.safe_text import plain
from ui.browser.strings import say

MOST_RUNS = 15
MOST_NOTES = 20
LONGEST_NOTE = 50_000


def show_history(person: str) -> None:
    """Earlier runs, newest first, each a button that opens it."""
    runs = agent_runs.every(person)
    st.subheader(say("agents.history"), anchor=False)
    if not runs:
        st.caption(say("agents.no_history"))
    for job in runs[:MOST_RUNS]:
        _row(job)
    if len(runs) > MOST_RUNS:
        with st.expander(say("agents.older", count=len(runs) - MOST_RUNS)):
            for job in runs[MOST_RUNS:]:
                _row(job)


def show_notes(person: str) -> None:
    """What agents wrote for this person, newest first; nothing where there is nothing."""
    folder = notes_folder(person)
    files = (
        [file for file in folder.glob("*.md") if file.is_file() and not file.is_symlink()] if folder.is_dir() else []
    )
    if not files:
        return
    with st.expander(say("agents.notes", count=len(files)), icon=":material/sticky_note_2:"):
        for file in sorted(files, key=lambda each: each.stat().st_mtime, reverse=True)[:MOST_NOTES]:
            st.markdown(f"**{plain(file.name)}**")
            with file.open(encoding="utf-8", errors="replace") as note:
                st.code(note.read(LONGEST_NOTE), language=None, wrap_lines=True)


def _row(job: Job) -> None:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started))
    st.button(
        f"{plain(job.title)} · {say(f'jobs.{job.state}')} · {when}",
        key=f"agents-open-{job.id}",
        icon=ICONS[job.state],
        type="tertiary",
        on_click=open_run,
        args=(job.id,),
    )
